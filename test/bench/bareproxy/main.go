// Command bareproxy is the yardstick of the benchmark: httputil.ReverseProxy with a transport that keeps
// enough connections alive, and nothing else; or, without an upstream, a handler that writes 200.
package main

import (
	"flag"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
)

func main() {
	listen := flag.String("listen", "", "address to serve on")
	upstream := flag.String("upstream", "", "URL to forward to; empty answers 200 to everything")
	certificate := flag.String("certificate", "", "PEM file; empty serves plain HTTP")
	key := flag.String("key", "", "PEM file of the key")
	flag.Parse()
	target, err := url.Parse(*upstream)
	if err != nil {
		log.Fatal(err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 256
	transport.DisableCompression = true
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(target)
			pr.SetXForwarded()
			pr.Out.Host = pr.In.Host
		},
	}
	server := &http.Server{Addr: *listen, Handler: proxy}
	if *upstream == "" {
		server.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	}
	if *certificate != "" {
		log.Fatal(server.ListenAndServeTLS(*certificate, *key))
	}
	log.Fatal(server.ListenAndServe())
}
