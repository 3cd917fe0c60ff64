package ingest_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/doorward/doorward/ingest"
)

const (
	oldHead   = "[2026-11-25 18:57:50] VERBOSE[12] chan_sip.c: \n<--- SIP read from UDP:" + sender + ":5060 --->"
	wrongAMI  = "[2026-11-25 18:57:50] NOTICE[12] manager.c: %s failed to authenticate as 'admin'"
	wellFormd = "REGISTER sip:192.0.2.1 SIP/2.0\r\nFrom: <sip:1@192.0.2.1>\r\nUser-Agent: friendly-scanner\r\nContent-Length: 0\r\n\r\n"
)

func tracedHead(n int) string {
	return fmt.Sprintf("[2026-11-25 18:57:50] VERBOSE[12] res_pjsip_logger.c: <--- Received SIP request (%d bytes) from UDP:%s:5060 --->", n, sender)
}

// traced is a message as PJSIP's trace writes it: up to its first NUL.
func traced(message string) string {
	shown, _, _ := strings.Cut(message, "\x00")
	return tracedHead(len(message)) + "\n" + shown + "\n"
}

// read reads a log of Asterisk's: what names a source is SOURCE, or (SOURCE) where a stranger may have written it.
func readAsterisk(t *testing.T, p *ingest.Parser, f ingest.Format, text string) (named []string, all []ingest.Parsed) {
	t.Helper()
	for _, r := range ingest.FormatRecords(f, text) {
		e, ok := p.Parse(&r, now)
		if !ok {
			t.Fatalf("%q is lost", r.Text)
		}
		all = append(all, e)
		if !e.Source.IsValid() {
			continue
		}
		name := e.Source.String()
		if field(ingest.Record{Fields: e.Fields}, "forgeable") == "true" {
			name = "(" + name + ")"
		}
		named = append(named, name)
	}
	return named, all
}

// TestAsteriskTrace: a message is one record with its sender, and what it holds is no line of the log.
func TestAsteriskTrace(t *testing.T) {
	p := parser(t, true, "asterisk")
	real := fmt.Sprintf(wrongAMI, "198.51.100.7") + "\n"
	forged := fmt.Sprintf(wrongAMI, third)
	body := "MESSAGE sip:1@192.0.2.1 SIP/2.0\r\nUser-Agent: x\r\n\r\nhello\r\n"
	many := strings.Repeat(real, 2000) // far more than a message may have
	for name, c := range map[string]struct{ text, want string }{
		"no trace":                      {real + real, "198.51.100.7 198.51.100.7"},
		"a message, then others":        {real + traced(wellFormd) + real + traced(wellFormd), "198.51.100.7 198.51.100.6 198.51.100.7 198.51.100.6"},
		"a body without a line end":     {traced(body+"x") + real, "198.51.100.6 198.51.100.7"},
		"line feeds alone":              {traced(strings.ReplaceAll(body, "\r", "")) + real, "198.51.100.6 198.51.100.7"},
		"a line of the log in it":       {traced(body+forged+"\r\n") + real, "198.51.100.6 (203.0.113.9) 198.51.100.7"},
		"its end, and a line":           {traced(body+"\r\n"+forged) + real, "198.51.100.6 (203.0.113.9) 198.51.100.7"},
		"a whole trace in it":           {traced(body+strings.ReplaceAll(traced(wellFormd), sender, third)) + real, "198.51.100.6 (203.0.113.9) 198.51.100.7"},
		"a trace of more than there is": {traced(body+tracedHead(300)+"\r\nx") + real + real + real + real + real, "198.51.100.6 (198.51.100.7) (198.51.100.7) (198.51.100.7) (198.51.100.7) 198.51.100.7"},
		"a NUL hides how long it is": {traced(body+"\x00"+strings.Repeat("y", 200)) + real + traced(body+forged+"\r\n"+forged) + real,
			"198.51.100.6 (198.51.100.7) (198.51.100.6) (203.0.113.9) (203.0.113.9) 198.51.100.7"},
		"a NUL that reaches into the next":     {traced(body+"\x00"+strings.Repeat("y", 220)) + traced(body+forged) + real, "198.51.100.6 (198.51.100.6) (203.0.113.9) 198.51.100.7"},
		"a line whose end the logger cut":      {"[2026-11-25 18:57:50] WARNING[12] app.c: " + strings.Repeat("z", 8000) + traced(body+forged), "(203.0.113.9)"},
		"the older channel":                    {oldHead + "\n" + body + "\n<------------->\n" + real + many, "198.51.100.6 (198.51.100.7)"},
		"the older channel's end in a message": {oldHead + "\n" + body + "<------------->\r\n" + forged + "\n<------------->\n", "198.51.100.6 (203.0.113.9)"},
		"what the older channel sends":         {"[2026-11-25 18:57:50] VERBOSE[12] chan_sip.c: \n<--- Transmitting (NAT) to 198.51.100.6:5060 --->\nSIP/2.0 200 OK\n" + forged + "\n", "(203.0.113.9)"},
		"the older channel's head alone":       {"[2026-11-25 18:57:50] VERBOSE[12] chan_sip.c: \n" + real, "198.51.100.7"},
	} {
		named, _ := readAsterisk(t, p, ingest.Asterisk, c.text)
		got := strings.Join(named, " ")
		if strings.HasSuffix(c.text, many) {
			got = strings.Join(named[:2], " ")
			if last := named[len(named)-1]; last != "198.51.100.7" {
				t.Errorf("%s: 64 KiB later the log still names %s", name, last)
			}
		}
		if got != c.want {
			t.Errorf("%s: names %s, want %s", name, got, c.want)
		}
	}
}

// TestAsteriskHeaders: the fields of a message are those of its headers, in any case, folded or short, and never those of its body.
func TestAsteriskHeaders(t *testing.T) {
	p := parser(t, true, "asterisk")
	for _, c := range []struct{ headers, key, want string }{
		{"User-Agent: sipcli/v1.8", "sip_user_agent", "sipcli/v1.8"},
		{"user-agent : sipcli", "sip_user_agent", "sipcli"},
		{"USER-AGENT:\r\n friendly-scanner\r\n 1", "sip_user_agent", "friendly-scanner 1"},
		{"User-Agent: a\r\nUser-Agent: b", "sip_user_agent", "a"},
		{"f: \"sipvicious\" <sip:1@x>", "sip_from", `"sipvicious" <sip:1@x>`},
		{"X: y\r\n\r\nUser-Agent: sipcli", "sip_user_agent", ""},
		{"User-Agent: " + strings.Repeat("u", 5000), "sip_user_agent", strings.Repeat("u", 1024)},
		{strings.Repeat("X: y\r\n", 200) + "User-Agent: sipcli", "sip_user_agent", ""},
	} {
		_, all := readAsterisk(t, p, ingest.Asterisk, traced("INVITE sip:1@x SIP/2.0\r\n"+c.headers+"\r\n\r\n"))
		if got := field(ingest.Record{Fields: all[0].Fields}, c.key); len(all) != 1 || got != c.want {
			t.Errorf("%.60q gives %.60q in %d records, want %.60q", c.headers, got, len(all), c.want)
		}
	}
}

// TestAsteriskCaps: a message that does not end, and one with more lines than any has, are given on in parts.
func TestAsteriskCaps(t *testing.T) {
	text := tracedHead(99_999) + "\n" + strings.Repeat("x\n", 400_000)
	records := ingest.FormatRecords(ingest.Asterisk, text)
	longest, total := 0, 0
	for _, r := range records {
		longest, total = max(longest, len(r.Text)), total+len(r.Text)+1
	}
	if longest > 64<<10 || total < 600_000 {
		t.Errorf("the longest record has %d bytes, and all %d of %d", longest, total, len(text))
	}
}

// TestAsteriskForged writes logs as Asterisk's loggers do, of messages that a stranger makes of all that stands in such a log, and
// never is an address that sent nothing named without saying that it may be forged.
func TestAsteriskForged(t *testing.T) {
	p := parser(t, true, "asterisk")
	third, sure := third, 0
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 7))
		var log strings.Builder
		hostile := func() string {
			var b strings.Builder
			b.WriteString("MESSAGE sip:1@192.0.2.1 SIP/2.0\r\nUser-Agent: x\r\n\r\n")
			for range r.IntN(8) {
				b.WriteString([]string{fmt.Sprintf(wrongAMI, third) + "\r\n", strings.ReplaceAll(tracedHead(r.IntN(600)), sender, third) + "\r\n", strings.ReplaceAll(oldHead, sender, third) + "\n",
					"<------------->\r\n", "\r\n", "\n", "x", strings.ReplaceAll(wellFormd, "\r\n", []string{"\n", "\r\n"}[r.IntN(2)]), "\x00" + strings.Repeat("n", r.IntN(500)), "--->", "\r",
					"[2026-11-25 18:57:50] VERBOSE[12] chan_sip.c: \n", "Transmitting (NAT) to " + third + ":5060:\n", strings.Repeat("p", r.IntN(300)) + "\n"}[r.IntN(14)])
			}
			return b.String()
		}
		for range 1 + r.IntN(6) {
			switch m := hostile(); r.IntN(4) {
			case 0:
				log.WriteString(fmt.Sprintf(wrongAMI, "198.51.100.7") + "\n")
			case 1:
				shown, _, _ := strings.Cut(m, "\x00")
				log.WriteString(oldHead + "\n" + shown + "\n<------------->\n")
			default:
				log.WriteString(traced(m))
			}
		}
		named, _ := readAsterisk(t, p, ingest.Asterisk, strings.TrimSuffix(log.String(), "\n"))
		for _, n := range named {
			if n == third {
				t.Fatalf("seed %d names %s:\n%s", seed, n, log.String())
			}
			if n == sender {
				sure++
			}
		}
	}
	if sure < 3000 {
		t.Errorf("only %d messages have a sure sender", sure)
	}
}

// TestAsteriskJSON: in JSON each message is a line, so none can be forged and none is in doubt.
func TestAsteriskJSON(t *testing.T) {
	p := parser(t, true, "asterisk")
	line := func(file, message string) string {
		text, err := json.Marshal(map[string]any{"hostname": "shop", "timestamp": "2026-11-25 18:57:50", "identifiers": map[string]any{"lwp": 12, "callid": "[C-0000000a]"},
			"logmsg": map[string]any{"location": map[string]any{"filename": file, "function": "f", "line": 7}, "level": "VERBOSE", "message": message}})
		if err != nil {
			t.Fatal(err)
		}
		return string(text) + "\n"
	}
	_, message, _ := strings.Cut(traced(wellFormd+fmt.Sprintf(wrongAMI, third)), ".c: ")
	_, old, _ := strings.Cut(oldHead+"\n"+wellFormd, ".c: ")
	named, all := readAsterisk(t, p, ingest.AsteriskJSON, line("res_pjsip_logger.c", message)+line("chan_sip.c", old)+line("manager.c", "198.51.100.7 failed to authenticate as 'x'")+
		line("a.c", "]\n"+fmt.Sprintf(wrongAMI, third))+line("a c", "x")+"{\n")
	if got, want := strings.Join(named, " "), "198.51.100.6 198.51.100.6 198.51.100.7"; got != want || show(all[0]) != "sip-message|sip-request|unknown|198.51.100.6||2026-11-25 18:57:50" {
		t.Errorf("names %s, want %s; the first is %s", got, want, show(all[0]))
	}
	if got := field(ingest.Record{Fields: all[0].Fields}, "sip_user_agent"); got != "friendly-scanner" {
		t.Errorf("user agent is %q", got)
	}
}
