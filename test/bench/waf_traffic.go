package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// The kinds of requests.
const (
	kindGET       = "GET, 6 arguments"
	kindForm      = "POST form, 1 KB"
	kindJSON      = "JSON, 1 KB"
	kindMultipart = "multipart, 1 MB"
	kindLong      = "GET, 100 KB HTML"
)

func wafKinds() []string { return []string{kindGET, kindForm, kindJSON, kindMultipart, kindLong} }

// The visitors: each keeps the user agent and two of the four cookies through all requests.
const (
	wafVisitors = 500
	uploadBytes = 1 << 20
)

// traffic makes requests. The n-th of a kind is the same in each run and for each server, and no two are alike.
type traffic struct {
	agents, words []string
	noise         []byte // what uploads are cut from
}

func newTraffic() *traffic {
	t := &traffic{noise: make([]byte, uploadBytes+64<<10), words: strings.Fields(`about after again balance before black blue board book bring
		brown carry chair change children city clean clock cold corner cotton country cover door early evening family field final
		flower forest friend garden glass green hand heavy house kitchen lamp letter light little long market meeting morning
		mountain music narrow north number office orange order paper people picture plain plant quiet river round school season
		shelf short silver simple small south square station stone story street summer table thank thing ticket town tree under
		village wall warm water week white window winter wood work yellow young`)}
	r := rand.New(rand.NewPCG(7, 11))
	for i := range t.noise {
		t.noise[i] = byte(r.Uint32())
	}
	for version := range 6 {
		t.agents = append(t.agents,
			fmt.Sprintf("Mozilla/5.0 (X11; Linux x86_64; rv:%[1]d.0) Gecko/20100101 Firefox/%[1]d.0", 136+version),
			fmt.Sprintf("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Safari/537.36", 132+version),
			fmt.Sprintf("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.%d Safari/605.1.15", version),
			fmt.Sprintf("Mozilla/5.0 (Linux; Android 15; SM-S92%dB) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Mobile Safari/537.36", version))
	}
	return t
}

// text is n words with a space between them.
func (t *traffic) text(r *rand.Rand, n int, space string) string {
	words := make([]string, n)
	for i := range words {
		words[i] = t.words[r.IntN(len(t.words))]
	}
	return strings.Join(words, space)
}

// request is the n-th of a kind, as its bytes on the wire. An attack takes the place of one value, if there is one.
func (t *traffic) request(kind string, n int, attack string) []byte {
	r := rand.New(rand.NewPCG(uint64(n), uint64(len(kind))))
	visitor := r.IntN(wafVisitors)
	target, method, contentType, body := "", "POST", "", ""
	switch kind {
	case kindGET:
		method = "GET"
		target = fmt.Sprintf("/search?q=%s+%d&page=%d&sort=price&order=asc&category=%s&size=%d", valueOr(attack, t.text(r, 3, "+")), n, n%50,
			t.text(r, 1, ""), 30+n%20)
	case kindLong:
		method, target = "GET", fmt.Sprintf("/long/%s-%d", t.text(r, 2, "-"), n)
	case kindForm:
		target, contentType = "/checkout", "application/x-www-form-urlencoded"
		body = fmt.Sprintf("name=%s&street=%s+%d&city=%s&mail=visitor%d%%40mail.example&newsletter=on&subject=%s&gift=%s&note=%s", t.text(r, 2, "+"), t.text(r, 2, "+"),
			n, t.text(r, 1, ""), n, t.text(r, 30, "+"), t.text(r, 55, "+"), valueOr(attack, t.text(r, 55, "+")))
	case kindJSON:
		target, contentType = "/api/orders", "application/json"
		body = fmt.Sprintf(`{"number":%d,"customer":{"name":"%s","city":"%s","mail":"visitor%d@mail.example"},"express":%t,"lines":[`, n, t.text(r, 2, " "),
			t.text(r, 1, ""), n, n%2 == 0)
		for i := range 6 {
			body += fmt.Sprintf(`{"item":"%s","count":%d,"price":%d.5,"note":"%s"},`, t.text(r, 2, " "), 1+i, n%90+i, t.text(r, 7, " "))
		}
		body += fmt.Sprintf(`{"item":"last","count":1}],"note":"%s"}`, valueOr(attack, t.text(r, 24, " ")))
	case kindMultipart:
		boundary := fmt.Sprintf("----formboundary%016x", r.Uint64())
		target, contentType = "/tickets", "multipart/form-data; boundary="+boundary
		field := func(name, value string) string {
			return fmt.Sprintf("--%s\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%s\r\n", boundary, name, value)
		}
		start := n * 61 % (64 << 10)
		body = field("subject", t.text(r, 5, " ")) + field("queue", t.text(r, 1, "")) + field("text", valueOr(attack, t.text(r, 60, " "))) +
			fmt.Sprintf("--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"picture-%d.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n", boundary, n) +
			string(t.noise[start:start+uploadBytes]) + "\r\n--" + boundary + "--\r\n"
	}
	return t.wire(r, visitor, n, method, target, contentType, body)
}

func valueOr(attack, value string) string {
	if attack != "" {
		return attack
	}
	return value
}

// wire writes the headers of a browser.
func (t *traffic) wire(r *rand.Rand, visitor, n int, method, target, contentType, body string) []byte {
	var b strings.Builder
	b.Grow(len(body) + 1200)
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: %s\r\n", method, target, t.agents[visitor%len(t.agents)])
	b.WriteString("Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: de,en-US;q=0.7,en;q=0.3\r\n" +
		"Accept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n" +
		"Sec-Fetch-Site: same-origin\r\nSec-Fetch-User: ?1\r\nUpgrade-Insecure-Requests: 1\r\n")
	fmt.Fprintf(&b, "Referer: http://localhost/%s?page=%d\r\n", t.text(r, 2, "/"), n)
	fmt.Fprintf(&b, "Cookie: session=%016x%016x; theme=%s; seen=%d; token=%016x\r\n", uint64(visitor+1)*0x9e3779b97f4a7c15, uint64(visitor+7)*0xc2b2ae3d27d4eb4f,
		t.words[visitor%8], n, r.Uint64())
	if contentType != "" {
		fmt.Fprintf(&b, "Content-Type: %s\r\nContent-Length: %d\r\n", contentType, len(body))
	}
	b.WriteString("\r\n")
	b.WriteString(body)
	return []byte(b.String())
}

// page is the n-th answer of a length: HTML with other words each time. A leak stands at its end, if there is one.
func (t *traffic) page(n, length int, leak string) string {
	r := rand.New(rand.NewPCG(uint64(n), uint64(length)))
	var b strings.Builder
	b.Grow(length + 1024)
	fmt.Fprintf(&b, "<!doctype html>\n<html lang=\"en\"><head><title>Page %d</title><link rel=\"stylesheet\" href=\"/style.css\"></head>\n<body>\n", n)
	for b.Len() < length-256 {
		fmt.Fprintf(&b, "<div class=\"row\"><h2>%s</h2><p>%s, <a href=\"/%s?item=%d\">%s</a> at %d.50 &euro;.</p></div>\n", t.text(r, 2, " "), t.text(r, 14, " "),
			t.text(r, 1, ""), r.IntN(10_000), t.text(r, 2, " "), r.IntN(300))
	}
	b.WriteString(leak + "</body></html>\n")
	return b.String()
}
