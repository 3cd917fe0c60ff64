package syntax

import (
	"fmt"
	"regexp"
	"strings"
)

// Variable is a part of the transaction that rules can look at.
type Variable uint8

// The variables, named as in the reference manual of ModSecurity. Those with a "keyed" in the table are collections.
const (
	NoVariable Variable = iota
	Args
	ArgsCombinedSize
	ArgsGet
	ArgsGetNames
	ArgsNames
	ArgsPost
	ArgsPostNames
	ArgumentsLimitReached
	AuthType
	Duration
	Env
	Files
	FilesCombinedSize
	FilesNames
	FilesSizes
	HighestSeverity
	InboundDataError
	MatchedVar
	MatchedVarName
	MatchedVars
	MatchedVarsNames
	MultipartBoundaryQuoted
	MultipartBoundaryWhitespace
	MultipartCRLFLFLines
	MultipartDataAfter
	MultipartDataBefore
	MultipartDuplicatePartHeader
	MultipartFileLimitExceeded
	MultipartFilename
	MultipartFilenameCharset
	MultipartFilenameLanguage
	MultipartHeaderFolding
	MultipartInvalidHeaderFolding
	MultipartInvalidPart
	MultipartInvalidQuoting
	MultipartLFLine
	MultipartMissingSemicolon
	MultipartName
	MultipartPartHeaders
	MultipartStrictError
	MultipartUnmatchedBoundary
	OutboundDataError
	QueryString
	RemoteAddr
	RemoteHost
	RemotePort
	ReqbodyError
	ReqbodyErrorMsg
	ReqbodyProcessor
	ReqbodyProcessorError
	ReqbodyProcessorErrorMsg
	RequestBasename
	RequestBody
	RequestBodyLength
	RequestCookies
	RequestCookiesNames
	RequestFilename
	RequestHeaders
	RequestHeadersNames
	RequestLine
	RequestMethod
	RequestProtocol
	RequestURI
	RequestURIRaw
	ResponseBody
	ResponseContentLength
	ResponseContentType
	ResponseHeaders
	ResponseHeadersNames
	ResponseProtocol
	ResponseStatus
	RuleFields
	ServerAddr
	ServerName
	ServerPort
	Time
	TimeDay
	TimeEpoch
	TimeHour
	TimeMin
	TimeMon
	TimeSec
	TimeWday
	TimeYear
	TX
	UniqueID
	URIParseError
	UrlencodedError
	XML
	Variables // how many there are
)

// variables is the table of them: the name, and whether it is a collection with keys.
var variables = [Variables]struct {
	name  string
	keyed bool
}{
	NoVariable: {"UNKNOWN", false},
	Args:       {"ARGS", true}, ArgsCombinedSize: {"ARGS_COMBINED_SIZE", false},
	ArgsGet: {"ARGS_GET", true}, ArgsGetNames: {"ARGS_GET_NAMES", true}, ArgsNames: {"ARGS_NAMES", true},
	ArgsPost: {"ARGS_POST", true}, ArgsPostNames: {"ARGS_POST_NAMES", true},
	ArgumentsLimitReached: {"ARGUMENTS_LIMIT_REACHED", false}, AuthType: {"AUTH_TYPE", false}, Duration: {"DURATION", false},
	Env: {"ENV", true}, Files: {"FILES", true}, FilesCombinedSize: {"FILES_COMBINED_SIZE", false},
	FilesNames: {"FILES_NAMES", true}, FilesSizes: {"FILES_SIZES", true},
	HighestSeverity: {"HIGHEST_SEVERITY", false}, InboundDataError: {"INBOUND_DATA_ERROR", false},
	MatchedVar: {"MATCHED_VAR", false}, MatchedVarName: {"MATCHED_VAR_NAME", false},
	MatchedVars: {"MATCHED_VARS", true}, MatchedVarsNames: {"MATCHED_VARS_NAMES", true},
	MultipartBoundaryQuoted:       {"MULTIPART_BOUNDARY_QUOTED", false},
	MultipartBoundaryWhitespace:   {"MULTIPART_BOUNDARY_WHITESPACE", false},
	MultipartCRLFLFLines:          {"MULTIPART_CRLF_LF_LINES", false},
	MultipartFileLimitExceeded:    {"MULTIPART_FILE_LIMIT_EXCEEDED", false},
	MultipartDataAfter:            {"MULTIPART_DATA_AFTER", false},
	MultipartDataBefore:           {"MULTIPART_DATA_BEFORE", false},
	MultipartDuplicatePartHeader:  {"MULTIPART_DUPLICATE_PART_HEADER", false},
	MultipartFilename:             {"MULTIPART_FILENAME", true},
	MultipartFilenameCharset:      {"MULTIPART_FILENAME_CHARSET", true},
	MultipartFilenameLanguage:     {"MULTIPART_FILENAME_LANGUAGE", true},
	MultipartHeaderFolding:        {"MULTIPART_HEADER_FOLDING", false},
	MultipartInvalidHeaderFolding: {"MULTIPART_INVALID_HEADER_FOLDING", false},
	MultipartInvalidPart:          {"MULTIPART_INVALID_PART", false},
	MultipartInvalidQuoting:       {"MULTIPART_INVALID_QUOTING", false},
	MultipartLFLine:               {"MULTIPART_LF_LINE", false},
	MultipartMissingSemicolon:     {"MULTIPART_MISSING_SEMICOLON", false},
	MultipartName:                 {"MULTIPART_NAME", true},
	MultipartPartHeaders:          {"MULTIPART_PART_HEADERS", true},
	MultipartStrictError:          {"MULTIPART_STRICT_ERROR", false},
	MultipartUnmatchedBoundary:    {"MULTIPART_UNMATCHED_BOUNDARY", false},
	OutboundDataError:             {"OUTBOUND_DATA_ERROR", false}, QueryString: {"QUERY_STRING", false},
	RemoteAddr: {"REMOTE_ADDR", false}, RemoteHost: {"REMOTE_HOST", false}, RemotePort: {"REMOTE_PORT", false},
	ReqbodyError: {"REQBODY_ERROR", false}, ReqbodyErrorMsg: {"REQBODY_ERROR_MSG", false},
	ReqbodyProcessor: {"REQBODY_PROCESSOR", false}, ReqbodyProcessorError: {"REQBODY_PROCESSOR_ERROR", false},
	ReqbodyProcessorErrorMsg: {"REQBODY_PROCESSOR_ERROR_MSG", false},
	RequestBasename:          {"REQUEST_BASENAME", false}, RequestBody: {"REQUEST_BODY", false},
	RequestBodyLength: {"REQUEST_BODY_LENGTH", false}, RequestCookies: {"REQUEST_COOKIES", true},
	RequestCookiesNames: {"REQUEST_COOKIES_NAMES", true}, RequestFilename: {"REQUEST_FILENAME", false},
	RequestHeaders: {"REQUEST_HEADERS", true}, RequestHeadersNames: {"REQUEST_HEADERS_NAMES", true},
	RequestLine: {"REQUEST_LINE", false}, RequestMethod: {"REQUEST_METHOD", false},
	RequestProtocol: {"REQUEST_PROTOCOL", false}, RequestURI: {"REQUEST_URI", false},
	RequestURIRaw: {"REQUEST_URI_RAW", false}, ResponseBody: {"RESPONSE_BODY", false},
	ResponseContentLength: {"RESPONSE_CONTENT_LENGTH", false}, ResponseContentType: {"RESPONSE_CONTENT_TYPE", false},
	ResponseHeaders: {"RESPONSE_HEADERS", true}, ResponseHeadersNames: {"RESPONSE_HEADERS_NAMES", true},
	ResponseProtocol: {"RESPONSE_PROTOCOL", false}, ResponseStatus: {"RESPONSE_STATUS", false},
	RuleFields: {"RULE", true}, ServerAddr: {"SERVER_ADDR", false}, ServerName: {"SERVER_NAME", false},
	ServerPort: {"SERVER_PORT", false}, Time: {"TIME", false},
	TimeDay: {"TIME_DAY", false}, TimeEpoch: {"TIME_EPOCH", false}, TimeHour: {"TIME_HOUR", false},
	TimeMin: {"TIME_MIN", false}, TimeMon: {"TIME_MON", false}, TimeSec: {"TIME_SEC", false},
	TimeWday: {"TIME_WDAY", false}, TimeYear: {"TIME_YEAR", false}, TX: {"TX", true}, UniqueID: {"UNIQUE_ID", false},
	URIParseError: {"URI_PARSE_ERROR", false}, UrlencodedError: {"URLENCODED_ERROR", false}, XML: {"XML", true},
}

// unsupportedVariables names what other engines have and this one does not.
var unsupportedVariables = []string{"ARGS_PATH", "FILES_TMPNAMES", "FILES_TMP_CONTENT", "FULL_REQUEST", "FULL_REQUEST_LENGTH", "GEO", "GLOBAL", "IP",
	"MODSEC_BUILD", "PATH_INFO", "PERF_ALL", "PERF_RULES",
	"REMOTE_USER", "RESOURCE", "SCRIPT_BASENAME", "SCRIPT_FILENAME", "SCRIPT_GID", "SCRIPT_GROUPNAME", "SCRIPT_MODE", "SCRIPT_UID",
	"SCRIPT_USERNAME", "SDBM_DELETE_ERROR", "SESSION", "SESSIONID", "STATUS_LINE", "STREAM_INPUT_BODY", "STREAM_OUTPUT_BODY", "USER",
	"USERAGENT_IP", "USERID", "WEBAPPID", "WEBSERVER_ERROR_LOG"}

// String is the name as rules write it, in upper case.
func (v Variable) String() string {
	if v >= Variables {
		return variables[NoVariable].name
	}
	return variables[v].name
}

// Keyed says whether the variable is a collection, of which a rule may name a part: ARGS:user.
func (v Variable) Keyed() bool { return v < Variables && variables[v].keyed }

// variableNamed finds a variable; the error says whether nobody has it or only we do not.
func variableNamed(name string) (Variable, error) {
	for v := NoVariable + 1; v < Variables; v++ {
		if strings.EqualFold(variables[v].name, name) {
			return v, nil
		}
	}
	for _, u := range unsupportedVariables {
		if strings.EqualFold(u, name) {
			return 0, fmt.Errorf("variable %s is not supported here; write the rule without it", u)
		}
	}
	return 0, fmt.Errorf("there is no variable %.40q", name)
}

// Target is what a rule looks at: a variable, or a part of a collection.
type Target struct {
	Variable Variable
	Key      string         // exact, without regard to case; "" is the whole collection
	Pattern  *regexp.Regexp // of keys, without regard to case; instead of Key
	Count    bool           // "&": how many there are, instead of their values
	Exclude  bool           // "!": not these
}

// String is the target as a rule writes it.
func (t Target) String() string {
	var b strings.Builder
	if t.Exclude {
		b.WriteByte('!')
	}
	if t.Count {
		b.WriteByte('&')
	}
	b.WriteString(t.Variable.String())
	switch {
	case t.Pattern != nil:
		b.WriteString(":/" + strings.TrimPrefix(t.Pattern.String(), "(?i)") + "/")
	case t.Key != "":
		b.WriteString(":" + t.Key)
	}
	return b.String()
}

// maxTargets is how many one rule may have; the longest list of CRS has 15.
const maxTargets = 500

// ParseTarget reads one target, such as ARGS:name.
func ParseTarget(text string) (Target, error) { return target(text) }

// targets reads a list of variables, parted by one of the separators. A key may be an expression between slashes, in which none is an end.
func targets(text, separators string) ([]Target, error) {
	var all []Target
	for i := 0; i <= len(text); {
		end := targetEnd(text[i:], separators)
		t, err := target(strings.TrimSpace(text[i : i+end]))
		if err != nil {
			return nil, err
		}
		if all = append(all, t); len(all) > maxTargets {
			return nil, fmt.Errorf("more than %d variables in one rule; write several rules", maxTargets)
		}
		i += end + 1
	}
	return all, nil
}

// targetEnd is where the first target of a list ends.
func targetEnd(text, separators string) int {
	name, key, keyed := strings.Cut(text, ":")
	if i := strings.IndexAny(name, separators); i >= 0 || !keyed {
		if i < 0 {
			return len(text)
		}
		return i
	}
	start := len(name) + 1
	quote := strings.HasPrefix(key, "'")
	if quote {
		start++
		key = key[1:]
	}
	if strings.HasPrefix(key, "/") && !strings.HasPrefix(key, "/*") && !strings.HasPrefix(key, "//@") {
		for i := start + 1; i < len(text); i++ {
			switch {
			case text[i] == '\\':
				i++
			case text[i] == '/':
				start = i + 1
				i = len(text)
			}
		}
	}
	if i := strings.IndexAny(text[start:], separators); i >= 0 {
		return start + i
	}
	return len(text)
}

func target(text string) (Target, error) {
	var t Target
	for text != "" && (text[0] == '!' || text[0] == '&') {
		t.Exclude = t.Exclude || text[0] == '!'
		t.Count = t.Count || text[0] == '&'
		text = text[1:]
	}
	if t.Exclude && t.Count {
		return t, fmt.Errorf("%q: a variable is either excluded with ! or counted with &", text)
	}
	name, key, keyed := strings.Cut(text, ":")
	v, err := variableNamed(name)
	if err != nil {
		return t, err
	}
	t.Variable = v
	if !keyed {
		return t, nil
	}
	if len(key) > 1 && key[0] == '\'' && key[len(key)-1] == '\'' {
		key = key[1 : len(key)-1]
	}
	return t, t.setKey(key)
}

func (t *Target) setKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("%s: a name is missing after the colon", t.Variable)
	case !t.Variable.Keyed():
		return fmt.Errorf("%s is one value and no collection; it has no part %.40q", t.Variable, key)
	case t.Variable == XML:
		if key != "/*" && key != "//@*" {
			return fmt.Errorf("XML:%.40s: only XML:/* (all text) and XML://@* (all attributes) are supported", key)
		}
		t.Key = key
	case len(key) > 2 && key[0] == '/' && key[len(key)-1] == '/':
		expression := strings.ReplaceAll(key[1:len(key)-1], `\/`, `/`)
		re, err := regexp.Compile("(?i)" + expression)
		if err != nil {
			return fmt.Errorf("%s: the expression for names: %w", t.Variable, err)
		}
		t.Pattern = re
	default:
		t.Key = key
	}
	return nil
}
