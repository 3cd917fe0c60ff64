package waf

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"

	"github.com/doorward/doorward/seclang"
)

// PrepareRequest narrows what the application may answer to forms that can be read: not compressed, or by gzip.
func (i *Inspection) PrepareRequest(h http.Header) {
	if !i.site.InspectsAnswers() || i.tx == nil {
		return
	}
	accepts := false
	for _, line := range h["Accept-Encoding"] {
		for part := range strings.SplitSeq(line, ",") {
			coding, quality, _ := strings.Cut(part, ";")
			accepts = accepts || strings.EqualFold(strings.TrimSpace(coding), "gzip") && strings.ReplaceAll(quality, " ", "") != "q=0"
		}
	}
	if accepts {
		h["Accept-Encoding"] = []string{"gzip"}
	} else {
		delete(h, "Accept-Encoding")
	}
}

// Answer shows the application's answer to the rules: headers, and of texts the body as far as the site's limit. The answer's
// body is replaced by one that gives all of it. The verdict is nil where it may be passed on. Where answers are only told
// about, the body is looked at while it passes, so that nobody waits for it.
func (i *Inspection) Answer(res *http.Response) (v *Verdict, err error) {
	if !i.site.InspectsAnswers() || i.tx == nil {
		return nil, nil
	}
	coding := strings.ToLower(strings.TrimSpace(res.Header.Get("Content-Encoding")))
	if v, err = i.answerHeaders(res, coding); v != nil || err != nil || i.tx == nil {
		return v, err
	}
	limit := i.site.options.AnswerLimit
	switch {
	case res.StatusCode == http.StatusSwitchingProtocols, !i.tx.InspectsResponse(), res.Request != nil && res.Request.Method == http.MethodHead:
		return i.checkAnswer(nil)
	case !i.take(int64(limit * copies)):
		i.site.engine.counters.uninspected.Add(1)
		if i.site.options.Answers == Block {
			return nil, ErrBusy
		}
		return i.checkAnswer(nil)
	}
	if i.site.options.Answers == Detect {
		i.watching = true
		res.Body = &watched{ReadCloser: res.Body, inspection: i, coding: coding, limit: limit}
		return nil, nil
	}
	body := res.Body
	first, readErr := i.site.engine.readText(body, limit, res.ContentLength)
	res.Body = &replayed{body: first, rest: &remainder{ReadCloser: body, err: readErr}}
	return i.lookAt(first, coding)
}

// answerHeaders shows the answer's first part to the rules.
func (i *Inspection) answerHeaders(res *http.Response, coding string) (v *Verdict, err error) {
	defer i.catch(stepAnswerHeaders, &err)
	answer := answerHead{status: res.StatusCode, proto: res.Proto, header: res.Header}
	if coding == "gzip" || coding == "x-gzip" { // the rules pass over packed answers; what is unpacked for them is none
		answer.header = res.Header.Clone()
		delete(answer.header, "Content-Encoding")
	}
	if i.sample != nil {
		i.sample.keepAnswer(answer)
	}
	answer.feed(i.tx)
	return i.judge(i.tx.CheckResponseHeaders()), nil
}

// answerHead is the part of an answer before its body, as the rules see it.
type answerHead struct {
	status int
	proto  string
	header http.Header
}

func (a answerHead) feed(tx *seclang.Transaction) {
	tx.Response(a.status, a.proto)
	eachHeader(a.header, tx.ResponseHeader)
}

// checkAnswer shows an answer's text to the rules; nil where there is none, or none of the rules' business.
func (i *Inspection) checkAnswer(text *string) (v *Verdict, err error) {
	defer i.catch(stepAnswerBody, &err)
	if i.sample != nil {
		i.sample.answerChecked, i.sample.text = true, text
	}
	if text != nil {
		i.tx.ResponseBody(*text)
	}
	return i.judge(i.tx.CheckResponseBody()), nil
}

// lookAt shows the first part of an answer's body to the rules.
func (i *Inspection) lookAt(first, coding string) (*Verdict, error) {
	switch coding {
	case "", "identity":
		return i.checkAnswer(&first)
	case "gzip", "x-gzip":
		if z, err := gzip.NewReader(strings.NewReader(first)); err == nil {
			// What is cut off at the limit, or broken, is looked at as far as it can be read.
			text, _ := i.site.engine.readText(z, i.site.options.AnswerLimit, -1)
			return i.checkAnswer(&text)
		} else if len(first) > 0 {
			i.site.engine.counters.uninspected.Add(1)
		}
	default:
		i.site.engine.counters.uninspected.Add(1)
	}
	return i.checkAnswer(nil)
}

// readText reads up to limit bytes, of which expected are said to come, or fewer than none where nobody said. The end is no error.
func (e *Engine) readText(from io.Reader, limit int, expected int64) (string, error) {
	piece := e.chunk()
	defer e.chunks.Put(piece)
	var b strings.Builder
	if expected > 0 {
		b.Grow(int(min(expected, int64(limit)))) // the memory for all of the limit is reserved
	}
	for b.Len() < limit {
		n, err := from.Read((*piece)[:min(len(*piece), limit-b.Len())])
		b.Write((*piece)[:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			return b.String(), err
		}
	}
	return b.String(), nil
}

// watched is an answer's body that is copied, up to a limit, while it passes.
type watched struct {
	io.ReadCloser
	inspection *Inspection
	coding     string
	limit      int
	first      strings.Builder
	done       bool
}

// Read passes on, and looks at what passed when it ends or reaches the limit.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if w.done {
		return n, err
	}
	w.first.Write(p[:min(n, w.limit-w.first.Len())])
	if err != nil || w.first.Len() == w.limit {
		w.done = true
		_, _ = w.inspection.lookAt(w.first.String(), w.coding) // what is only told about passes in any case
		w.first.Reset()
	}
	return n, err
}

// remainder is the rest of an answer of which the first part was read; err is how that reading ended.
type remainder struct {
	io.ReadCloser
	err error
}

// Read gives the error that came first.
func (r *remainder) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	return r.ReadCloser.Read(p)
}
