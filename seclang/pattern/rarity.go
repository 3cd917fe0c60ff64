package pattern

import "strings"

// rarity says how often bytes stand in texts of a kind, of 100,000 bytes, ASCII letters as lower case. Only the order
// of sizes matters: it decides which of many true requirements are asked for, never whether a requirement is true.
type rarity struct {
	of      [256]float64
	length  float64           // bytes of a usual text
	usual   string            // what nearly every text has somewhere; its parts are not rare, whatever their bytes
	windows map[string]string // by literal: what window has said
}

// usualWords stand in any text.
const usualWords = " the and that have for not with you this but his from they say her she will one all would there their what out about who get which when " +
	"make can like time just him know take people into year your good some could them see other than then now look only come its over think also back after " +
	"use two how our work first well way even new want because any these give day most are was is has been were said did number name page list file string " +
	"information application transaction position operation question nation different reading ending string mozilla/5.0 (windows http://www. https:// .com/ text/html,application/xml "

// newRarity returns the table of a kind of texts. The figures were counted in parameters, headers, cookies and prose
// for requests, and in the pages of installed documentation for responses.
func newRarity(texts Texts) *rarity {
	steps := []struct {
		bytes string
		count float64
	}{
		{" ", 8600}, {"e", 6700}, {"ia", 5000}, {"ot", 4300}, {"snlr", 3400}, {"0c1", 2900}, {"p/.md", 2300}, {"hfb6", 1850}, {"u45kwg", 1550},
		{"3x28", 1200}, {"-7v,9", 900}, {"y;z=", 650}, {")(\"", 500}, {"q_:j", 280}, {"+'*", 150}, {"?>\n@&", 70}, {"#`][<%\r", 40}, {"\t$|!{}\\~^", 15},
	}
	r := &rarity{length: 40, windows: make(map[string]string)}
	if texts == Responses {
		steps = []struct {
			bytes string
			count float64
		}{
			{" ", 10800}, {"et", 6500}, {"alsi", 4900}, {"ro", 4000}, {"><nc\"", 3500}, {"d/h", 2500}, {"pm\n=fu", 1800}, {"bg.-", 1200}, {"xvy", 850},
			{"wk#,01", 480}, {"%:2_()$", 300}, {"';{}&3j46", 170}, {"q5987z@[]|", 80}, {"*+\\?!\r\t", 30}, {"~^`", 4},
		}
		r.length = 4000
		r.usual = usualWords + "<!doctype html>\n<html>\n<head>\n<html><head><meta http-equiv=\"content-type\" content=\"text/html; charset=utf-8\">\n<title>" +
			"</title>\n</head>\n<body>\n</title></head><body></body></html>\n<!-- <div class=\"<a href=\"<form method=\"post\" action=\"<input type=\"" +
			"<h1><h2><h3></h1></h2></h3><p></p><ul><li></li></ul></a></div><br><table><tr><td></td></tr></table><span></span><img src=\"<script></script>"
	}
	for b := range r.of {
		r.of[b] = 1
		if b >= 0x80 {
			r.of[b] = 20
		}
	}
	for _, s := range steps {
		for i := range len(s.bytes) {
			r.of[s.bytes[i]] = s.count
		}
	}
	for b := range r.of {
		r.of[b] /= 100000
	}
	return r
}

// expect is about how many times a literal stands in a usual text.
func (r *rarity) expect(literal string) float64 {
	if literal == "" {
		return r.length
	}
	p := r.first(literal[0])
	for i := 1; i < len(literal); i++ {
		p *= r.after(literal[i-1], literal[i])
	}
	return r.seen(literal, p)
}

// seen corrects what the bytes of a literal say.
func (r *rarity) seen(literal string, p float64) float64 {
	if p < 1 && len(literal) > 1 && strings.Contains(r.usual, literal) {
		return 1
	}
	return p
}

func (r *rarity) first(b byte) float64 { return r.length * r.of[b] }

// after is how often b follows a. A letter or digit after another is likelier than alone, because texts are made of words.
func (r *rarity) after(a, b byte) float64 {
	if isMark(a) || isMark(b) {
		return r.of[b] + 0.001
	}
	return min(1, 3*r.of[b]+0.005)
}

// isMark says whether a character is ASCII and no letter, no digit and no usual space: what is put between letters to
// hide words is made of these, and they are shared by all words.
func isMark(c byte) bool {
	return c < 0x80 && c != ' ' && c != '\n' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z')
}
