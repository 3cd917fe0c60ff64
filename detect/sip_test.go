package detect_test

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/detect"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/ingest"
	"github.com/doorward/doorward/rules"
)

// tools are the seventeen of M-24.
var tools = []string{"sipcli", "sipvicious", "sip-scan", "sipsak", "sundayddr", "friendly-scanner", "iWar", "CSipSimple", "SIVuS", "Gulp", "sipv", "smap",
	"friendly-request", "VaxIPUserAgent", "VaxSIPUserAgent", "siparmyknife", "Test Agent"}

// TestSIPTools: one message of each tool, however it is written and whoever logs it, bans for good; over UDP as one that may be forged.
func TestSIPTools(t *testing.T) {
	listed, err := fs.ReadFile(rules.Detections(), "lists/sip_tools.txt")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(listed)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			names = append(names, line)
		}
	}
	if got, want := strings.Join(names, "|"), strings.Join(tools, "|"); got != want {
		t.Errorf("the list is %s, want %s", got, want)
	}
	parsers, err := detect.LoadParsers(detect.Config{})
	if err != nil {
		t.Fatal(err)
	}
	const head = "[2026-11-25 18:00:00] VERBOSE[12] "
	for name, log := range map[string]struct{ parser, line string }{
		"pjsip":     {"asterisk", head + "res_pjsip_logger.c: <--- Received SIP request (420 bytes) from {t}:198.51.100.6:5060 --->\nREGISTER sip:192.0.2.1 SIP/2.0\nUser-Agent: {a}\n\n"},
		"chan_sip":  {"asterisk", head + "chan_sip.c: \n<--- SIP read from {t}:198.51.100.6:5060 --->\nREGISTER sip:192.0.2.1 SIP/2.0\nuser-agent: {a}\n\n\n<------------->"},
		"syslog":    {"asterisk", "Nov 25 18:00:00 h asterisk[1]: VERBOSE[12]: res_pjsip_logger.c:1 in f: <--- Received SIP request (420 bytes) from {t}:198.51.100.6:5060 --->#012OPTIONS sip:1@x SIP/2.0#015#012User-Agent: {a}#015#012"},
		"kamailio":  {"kamailio", "Nov 25 18:00:00 h kamailio[1]: NOTICE: {1 1 OPTIONS a@b} <script>: sip OPTIONS from {t}:198.51.100.6:5060 ua={a}"},
		"suricata":  {"suricata", ""},
		"forgeable": {"asterisk", head + "res_pjsip_logger.c: <--- Received SIP request (420 bytes) from {t}:198.51.100.6:5060 --->\nREGISTER sip:192.0.2.1 SIP/2.0\nUser-Agent: {a}\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			parser, err := parsers.For([]string{log.parser}, time.UTC, false)
			if err != nil {
				t.Fatal(err)
			}
			b := newBench(t, detect.Config{})
			n := 0
			judge := func(transport, agent string) (bans, spoofable int) {
				n++
				at := replayAt.Add(time.Duration(n) * time.Minute)
				r := ingest.Record{Text: strings.NewReplacer("{t}", transport, "{a}", agent).Replace(log.line)}
				switch name {
				case "forgeable":
					r.Fields = []event.Field{{Key: "forgeable", Value: "true"}}
				case "suricata":
					r.Time, r.Text = at, fmt.Sprint("event ", n)
					r.Fields = []event.Field{{Key: "event_type", Value: "sip"}, {Key: "src_ip", Value: "198.51.100.6"}, {Key: "proto", Value: transport}, {Key: "sip.user_agent", Value: agent}}
				}
				e, ok := parser.Parse(&r, at)
				if !ok {
					t.Fatalf("no parser knows %q", r.Text)
				}
				for _, p := range b.judge.Parsed("log", &e, at) {
					if p.Target.Short() != "198.51.100.6" || p.For != 0 || !strings.HasPrefix(p.Origin, "detection:sip_tool") {
						t.Errorf("%s gives %+v", agent, p)
					}
					if bans++; p.Spoofable {
						spoofable++
					}
				}
				return bans, spoofable
			}
			for _, tool := range tools {
				for _, agent := range []string{tool, strings.ToUpper(tool), strings.ToLower(tool), "x " + tool + "/1.8 (y)"} {
					for _, transport := range []string{"UDP", "TCP", "TLS"} {
						want, wantSpoofable := 1, 0
						if transport == "UDP" {
							wantSpoofable = 1
						}
						if name == "forgeable" {
							want, wantSpoofable = 0, 0
						}
						if bans, spoofable := judge(transport, agent); bans != want || spoofable != wantSpoofable {
							t.Errorf("%q over %s gives %d bans, %d of them spoofable, want %d and %d", agent, transport, bans, spoofable, want, wantSpoofable)
						}
					}
				}
			}
			for _, honest := range []string{"Yealink SIP-T46U 108.86.0.20", "snomD785/10.1.141.13", "Zoiper v2.10.20", "Asterisk PBX 20.5.0", "", "-"} {
				if bans, _ := judge("UDP", honest); bans != 0 {
					t.Errorf("%q is banned", honest)
				}
			}
		})
	}
}
