package seclang_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The requests of the benchmark: what browsers send, with values that differ from request to request.
func benchRequests() map[string]func(n int) request {
	headers := func(n int) []header {
		return []header{{"Host", "shop.example.org"}, {"Connection", "keep-alive"},
			{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
			{"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, {"Accept-Language", "de,en-US;q=0.7,en;q=0.3"},
			{"Accept-Encoding", "gzip, deflate, br"}, {"Referer", "https://shop.example.org/search?page=" + fmt.Sprint(n)},
			{"Cookie", fmt.Sprintf("session=%x; theme=dark; lang=de; cart=%d", n*2654435761, n)}, {"Upgrade-Insecure-Requests", "1"}}
	}
	page := "<!doctype html><html><head><title>Shop</title></head><body>" +
		strings.Repeat("<p>A paragraph with some words, <a href=\"/item?id=17\">a link</a> and a price of 17.50 &euro;.</p>\n", 100) + "</body></html>"
	return map[string]func(n int) request{
		"GET": func(n int) request {
			return request{method: "GET", protocol: "HTTP/1.1", headers: headers(n), status: 200, answerBody: page,
				uri:    fmt.Sprintf("/search?q=red+shoes+%d&page=%d&sort=price&order=asc&category=women&size=38", n, n%50),
				answer: []header{{"Content-Type", "text/html; charset=utf-8"}}}
		},
		"POST": func(n int) request {
			body := fmt.Sprintf("name=Mary+Jane+%d&street=Long+Street+%d&city=London", n, n%300)
			for i := range 3 { // an argument may have 400 bytes
				body += fmt.Sprintf("&comment%d=", i) + strings.Repeat("Please+leave+the+parcel+at+the+neighbour%27s+door.+", 6)
			}
			return request{method: "POST", protocol: "HTTP/1.1", uri: "/checkout", body: body, status: 200, answerBody: page,
				headers: append(headers(n), header{"Content-Type", "application/x-www-form-urlencoded"}, header{"Content-Length", fmt.Sprint(len(body))}),
				answer:  []header{{"Content-Type", "text/html; charset=utf-8"}}}
		},
		"JSON": func(n int) request {
			body := fmt.Sprintf(`{"order":%d,"items":[`, n)
			for i := range 10 {
				body += fmt.Sprintf(`{"id":%d,"name":"Blue shoes, size %d","price":"%d.50"},`, n+i, i+36, n%90)
			}
			body += `{}],"note":"Please ring the bell twice."}`
			return request{method: "POST", protocol: "HTTP/1.1", uri: "/api/orders", body: body, status: 200, answerBody: `{"ok":true}`,
				headers: append(headers(n), header{"Content-Type", "application/json"}, header{"Content-Length", fmt.Sprint(len(body))}),
				answer:  []header{{"Content-Type", "application/json"}}}
		},
		"multipart": func(n int) request {
			body := fmt.Sprintf("--b%d\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nHoliday %d\r\n--b%d\r\n"+
				"Content-Disposition: form-data; name=\"picture\"; filename=\"sea.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n", n, n, n) +
				strings.Repeat("\xff\xd8JPEG of one megabyte, more or less\x00", 1<<20/40) + fmt.Sprintf("\r\n--b%d--\r\n", n)
			return request{method: "POST", protocol: "HTTP/1.1", uri: "/upload", body: body, status: 200, answerBody: "ok",
				headers: append(headers(n), header{"Content-Type", fmt.Sprintf("multipart/form-data; boundary=b%d", n)},
					header{"Content-Length", fmt.Sprint(len(body))}),
				answer: []header{{"Content-Type", "text/plain"}}}
		},
		"HTML": func(n int) request {
			return request{method: "GET", protocol: "HTTP/1.1", headers: headers(n), status: 200, answerBody: strings.Repeat(page, 10),
				uri: fmt.Sprintf("/page?n=%d", n), answer: []header{{"Content-Type", "text/html; charset=utf-8"}}}
		},
	}
}

// cpu is what the process has used: a machine that does other things too makes the time on the clock useless.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkRequest(b *testing.B) {
	s := setup{1, true, true}
	p := newProgram(b, s)
	waf := newCoraza(b, s)
	fast, plain := newSite(b, p, false), newSite(b, p, true)
	for _, kind := range []string{"GET", "POST", "JSON", "multipart", "HTML"} {
		make := benchRequests()[kind]
		for _, engine := range []struct {
			name string
			run  func(*request) outcome
		}{
			{"doorward", func(r *request) outcome { return runDoorward(fast, r) }},
			{"plain", func(r *request) outcome { return runDoorward(plain, r) }},
			{"coraza", func(r *request) outcome { return runCoraza(waf, r) }},
		} {
			b.Run(kind+"/"+engine.name, func(b *testing.B) {
				b.ReportAllocs()
				n, before := 0, cpu(b)
				for ; b.Loop(); n++ {
					r := make(n)
					if o := engine.run(&r); o.refused != 0 {
						b.Fatalf("refused: %v", o)
					}
				}
				b.ReportMetric(float64(cpu(b)-before)/float64(n)/1000, "cpu-µs/op")
			})
		}
	}
}
