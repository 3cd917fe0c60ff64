package seclang

import (
	"strconv"
	"strings"

	"github.com/doorward/doorward/seclang/body"
	"github.com/doorward/doorward/seclang/syntax"
)

// FieldsLimit says how many bytes the request's body may have besides the contents of files, and whether all of its bytes count: it is
// read as a form, as JSON, as XML or as it is. The limit is 0 where there is none: so for a body that no rule is shown, since its media
// type is none of these. It is meant to be asked after CheckRequestHeaders, since rules say how a body is read.
func (t *Transaction) FieldsLimit() (limit int, all bool) {
	switch {
	case t.processor() == "":
		return 0, false
	case t.processor() == "MULTIPART":
		return t.site.fieldsLimit, false
	}
	return t.site.fieldsLimit, true
}

// FieldsMeter counts what FieldsLimit bounds while a multipart body comes.
func (t *Transaction) FieldsMeter() *body.Meter { return body.NewMeter(t.contentType, t.bodyLimits()) }

// processor says how the request's body is read.
func (t *Transaction) processor() string {
	if p := t.single[syntax.ReqbodyProcessor]; p != "" || !t.forceBody {
		return p
	}
	return "URLENCODED"
}

// bodyLimits are those of the request's body.
func (t *Transaction) bodyLimits() body.Limits {
	l := t.limits()
	l.Fields = t.site.fieldsLimit
	return l
}

// bodyBuffer holds as much of a body as is looked at.
type bodyBuffer struct {
	bytes  []byte
	lent   string // the whole body, in place of bytes
	limit  int
	access bool
	over   bool // the body is longer than the limit
}

// write takes what fits.
func (b *bodyBuffer) write(p []byte) (over bool) {
	if !b.access {
		return false
	}
	if room := b.limit - len(b.bytes); len(p) > room {
		b.over = true
		p = p[:max(0, room)]
	}
	b.bytes = append(b.bytes, p...)
	return b.over
}

// lend takes a whole body that needs no copy.
func (b *bodyBuffer) lend(text string) (over bool) {
	if !b.access {
		return false
	}
	b.bytes = b.bytes[:0]
	b.over = len(text) > b.limit
	b.lent = text[:min(len(text), max(0, b.limit))]
	return b.over
}

// size is how many bytes there are.
func (b *bodyBuffer) size() int { return len(b.bytes) + len(b.lent) }

// text is a copy of what was written: the buffer goes back to the pool, and matches show parts of the text.
func (b *bodyBuffer) text() string {
	if b.lent != "" {
		return b.lent
	}
	return string(b.bytes)
}

// WantsRequestBody says whether the request's body is looked at at all. It is meant to be asked after CheckRequestHeaders,
// since rules may say no.
func (t *Transaction) WantsRequestBody() bool {
	return t.mode != syntax.EngineOff && t.requestBody.access && t.phase < syntax.PhaseRequestBody
}

// WriteRequestBody takes a piece of the body. over is true when the body is longer than the site's limit and the site
// refuses such bodies: the answer to give is 413 (Content Too Large). A site that only detects, or that looks at a part of
// long bodies, gets false; INBOUND_DATA_ERROR is 1 in any case.
func (t *Transaction) WriteRequestBody(p []byte) (over bool) {
	return t.WantsRequestBody() && t.tooLong(t.requestBody.write(p))
}

// RequestBody is WriteRequestBody with the whole body at once. The text is not copied.
func (t *Transaction) RequestBody(text string) (over bool) {
	return t.WantsRequestBody() && t.tooLong(t.requestBody.lend(text))
}

// tooLong tells what follows from a body that is longer than the limit.
func (t *Transaction) tooLong(over bool) bool {
	if !over {
		return false
	}
	t.single[syntax.InboundDataError] = "1"
	return !t.site.partial && t.mode == syntax.EngineOn && !t.site.detects()
}

// InspectsResponse says whether the answer's body is looked at: its media type is one of the site's. It is meant to be asked
// after CheckResponseHeaders.
func (t *Transaction) InspectsResponse() bool {
	if t.mode == syntax.EngineOff || !t.responseBody.access {
		return false
	}
	kind := strings.TrimSpace(t.single[syntax.ResponseContentType])
	for _, one := range t.site.types {
		if strings.EqualFold(kind, one) {
			return true
		}
	}
	return false
}

// WriteResponseBody takes a piece of the answer's body. more is false when the limit is reached and further pieces would
// not be looked at.
func (t *Transaction) WriteResponseBody(p []byte) (more bool) {
	if !t.InspectsResponse() || t.phase > syntax.PhaseResponseHeaders {
		return false
	}
	if t.responseBody.write(p) {
		t.single[syntax.OutboundDataError] = "1"
		return false
	}
	return t.responseBody.size() < t.responseBody.limit
}

// ResponseBody is WriteResponseBody with the whole body at once. The text is not copied.
func (t *Transaction) ResponseBody(text string) {
	if t.InspectsResponse() && t.phase <= syntax.PhaseResponseHeaders && t.responseBody.lend(text) {
		t.single[syntax.OutboundDataError] = "1"
	}
}

// processorOf says how a body of that media type is read without a rule that says it.
func processorOf(contentType string) string {
	contentType = strings.ToLower(strings.TrimSpace(contentType))
	switch {
	case strings.HasPrefix(contentType, "application/x-www-form-urlencoded"):
		return "URLENCODED"
	case strings.HasPrefix(contentType, "multipart/form-data"):
		return "MULTIPART"
	}
	return ""
}

// ReadRequestBody takes the body apart that was written; CheckRequestBody does it where it was not asked to before. over is true when the
// body has more besides files than the site's limit, whatever the site's mode: the rest is not shown to the rules, INBOUND_DATA_ERROR is
// 1, and who refuses such bodies answers 413 and does not go on.
func (t *Transaction) ReadRequestBody() (over bool) {
	if t.mode == syntax.EngineOff || t.interruption != nil || t.phase >= syntax.PhaseRequestBody || t.bodyRead {
		return false
	}
	t.bodyRead = true
	over = t.readRequestBody()
	t.tooLong(over)
	return over
}

// readRequestBody takes the body apart. over says that it has more besides files than it may have.
func (t *Transaction) readRequestBody() (over bool) {
	if !t.requestBody.access || t.requestBody.size() == 0 {
		return false
	}
	processor := t.processor()
	if processor == "" {
		return false
	}
	t.single[syntax.ReqbodyProcessor] = processor
	var r body.Result
	text := t.requestBody.text()
	if limit, all := t.FieldsLimit(); all && limit > 0 && len(text) > limit {
		text, over = text[:limit], true
	}
	switch processor {
	case "URLENCODED":
		r = body.Form(text, t.bodyLimits())
		t.wholeBody(text)
	case "RAW":
		t.wholeBody(text)
	case "JSON":
		r = body.JSON(text, t.bodyLimits())
	case "XML":
		r = t.readXML(text, t.bodyLimits())
	case "MULTIPART":
		r = body.Multipart(t.contentType, text, t.bodyLimits())
		t.addParts(&r)
	}
	t.addArguments(argsPost, &r)
	t.noteViews(argsPost, 0, text, &r)
	if r.Flags.Has(body.InvalidEscape) {
		t.single[syntax.UrlencodedError] = "1"
	}
	for _, text := range r.Attributes {
		t.lists[xml] = append(t.lists[xml], pair{key: "//@*", low: "//@*", value: text})
		if t.site.views { // the published rules look at texts only
			t.lists[xml] = append(t.lists[xml], pair{key: "/*", low: "/*", value: text, view: viewAttribute})
		}
	}
	for _, text := range r.Texts {
		t.lists[xml] = append(t.lists[xml], pair{key: "/*", low: "/*", value: text})
	}
	t.addDoctype(&r)
	if r.Err != nil {
		t.single[syntax.ReqbodyError], t.single[syntax.ReqbodyProcessorError] = "1", "1"
		t.single[syntax.ReqbodyErrorMsg] = processor + ": " + r.Err.Error()
		t.single[syntax.ReqbodyProcessorErrorMsg] = r.Err.Error()
	}
	return over || r.Over
}

func (t *Transaction) wholeBody(text string) {
	t.single[syntax.RequestBody] = text
	t.single[syntax.RequestBodyLength] = strconv.Itoa(len(text))
}

// addParts fills the collections about the parts of a multipart body.
func (t *Transaction) addParts(r *body.Result) {
	t.addPairs(partHeaders, r.Headers)
	t.addPairs(partNames, r.Names)
	t.addPairs(fileNames, r.Filenames)
	t.addPairs(fileCharsets, r.Charsets)
	t.addPairs(fileLanguages, r.Languages)
	add := func(list int, key, value string) {
		t.lists[list] = append(t.lists[list], pair{key: key, low: strings.ToLower(key), value: value})
	}
	for _, f := range r.Files {
		add(files, f.Field, f.Name)
		if f.Other != "" {
			add(files, f.Field, f.Other)
		}
		add(filesNames, f.Field, f.Field)
		add(filesSizes, f.Field, strconv.FormatInt(f.Size, 10))
	}
	t.single[syntax.FilesCombinedSize] = strconv.FormatInt(r.Combined, 10)
	for v, flag := range partFlags {
		if r.Flags&flag != 0 {
			t.single[v] = "1"
		}
	}
	strict := body.StrictCoraza
	if t.site.strict {
		strict = body.Strict
	}
	if r.Flags.Has(strict) || r.Err != nil {
		t.single[syntax.MultipartStrictError] = "1"
	}
}

// partFlags are the variables that each flag of a multipart body sets.
var partFlags = map[syntax.Variable]body.Flags{
	syntax.MultipartBoundaryQuoted: body.BoundaryQuoted, syntax.MultipartBoundaryWhitespace: body.BoundaryWhitespace,
	syntax.MultipartDataBefore: body.DataBefore, syntax.MultipartDataAfter: body.DataAfter,
	syntax.MultipartHeaderFolding: body.HeaderFolding, syntax.MultipartInvalidHeaderFolding: body.InvalidHeaderFolding,
	syntax.MultipartLFLine: body.LFLine, syntax.MultipartMissingSemicolon: body.MissingSemicolon,
	syntax.MultipartInvalidQuoting: body.InvalidQuoting, syntax.MultipartInvalidPart: body.InvalidPart,
	syntax.MultipartCRLFLFLines: body.CRLFLFLines, syntax.MultipartFileLimitExceeded: body.FileLimitExceeded,
	syntax.MultipartUnmatchedBoundary: body.UnmatchedBoundary, syntax.MultipartDuplicatePartHeader: body.DuplicatePartHeader,
}
