package app

import (
	"context"
	"strings"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/detect"
)

// sipTools are the seventeen attack tools of M-24, by their user agents.
var sipTools = [...]string{"sipcli", "sipvicious", "sip-scan", "sipsak", "sundayddr", "friendly-scanner", "iWar", "CSipSimple", "SIVuS", "Gulp", "sipv", "smap",
	"friendly-request", "VaxIPUserAgent", "VaxSIPUserAgent", "siparmyknife", "Test Agent"}

// watchState is what this process watches, enforces and tells, for the audit.
func (a *App) watchState(ctx context.Context) (api.WatchState, error) {
	cfg := a.watch.Config()
	s := api.WatchState{Off: cfg.Off, Sources: []api.StateSource{}, Detections: []api.Detection{}, Jails: []api.Jail{}, SIPTools: []string{}, Overrides: cfg.Overrides,
		Rules: cfg.Rules, Fail2ban: cfg.Fail2ban.Folder, Countries: a.countries.Stats().Built, Built: a.opts.Built}
	if cfg.Off {
		s.Overrides, s.Rules = "", ""
	}
	for _, one := range a.watch.Sources() {
		s.Sources = append(s.Sources, watchSource(one))
	}
	for _, d := range a.watch.Detections() {
		s.Detections = append(s.Detections, api.NewDetection(d))
	}
	for _, j := range a.watch.Jails() {
		s.Jails = append(s.Jails, api.NewJail(j))
	}
	s.SIPTools = append(s.SIPTools, a.watch.SIPTools(sipTools[:])...)
	standing := a.decisions.Stats()
	s.Decisions = standing.Addresses + standing.Accounts + standing.Countries
	if a.kernel != nil {
		status, problem := a.kernel.State()
		s.Kernel = api.Kernel{Wanted: true, Connected: problem == "", Problem: strings.ToValidUTF8(problem, "?"), Bans: status.Elements}
	}
	sent, err := a.mail.LastSent(ctx, "event-digest")
	if err != nil {
		return s, err
	}
	s.Digest = api.Digest{Recipients: a.digest.Recipients(), Mails: a.mail.Enabled(), Sent: sent}
	return s, nil
}

func watchSource(one detect.SourceStatus) api.StateSource {
	return api.StateSource{Name: one.Name, Type: one.Type, Format: one.Format, Problem: strings.ToValidUTF8(one.Health.Problem, "?"), Silent: one.Silent, Read: one.Read,
		Parsers: append([]string{}, one.Parsers...), Sure: append([]string{}, one.Sure...), Records: one.Health.Records, Last: one.Health.Last}
}
