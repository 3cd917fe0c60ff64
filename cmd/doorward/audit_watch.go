package main

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/audit/facts"
	"github.com/doorward/doorward/config"
)

// askWatch asks the running Doorward what it watches, enforces and tells. Nil: there is no configuration, and so nothing of Doorward runs.
// Where there is one and no answer, nothing is known: a root command never looks into the store.
func askWatch(ctx context.Context, path string) *facts.WatchAnswer {
	cfg, err := config.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &facts.WatchAnswer{Unread: "the configuration of Doorward cannot be read: " + oneLine(err.Error())}
	}
	ctx, cancel := context.WithTimeout(ctx, askDaemon)
	defer cancel()
	socket := cfg.AdminSocket()
	client, err := api.Dial(ctx, socket)
	if err != nil {
		return &facts.WatchAnswer{Unread: "no Doorward answers on " + socket}
	}
	s, err := client.WatchState(ctx)
	if err != nil {
		return &facts.WatchAnswer{Unread: "the running Doorward did not say what it watches: " + oneLine(err.Error())}
	}
	return watchAnswer(socket, s)
}

func watchAnswer(socket string, s api.WatchState) *facts.WatchAnswer {
	a := &facts.WatchAnswer{Socket: socket, Kernel: s.Kernel.Connected, KernelProblem: s.Kernel.Problem, SIPTools: s.SIPTools, Overrides: s.Overrides,
		DigestSent: s.Digest.Sent, RulesFolder: s.Rules, Fail2banFolder: s.Fail2ban, Countries: s.Countries, Built: s.Built}
	if s.Digest.Mails {
		a.DigestRecipients = s.Digest.Recipients
	}
	if !s.Kernel.Wanted {
		a.KernelProblem = "firewall.enforce is off"
	}
	for _, one := range s.Sources {
		a.Sources = append(a.Sources, facts.AnsweredSource{Name: one.Name, Type: one.Type, Format: one.Format, Problem: one.Problem, Silent: one.Silent, Read: one.Read,
			Parsers: one.Parsers, Sure: one.Sure, Records: one.Records, Last: one.Last})
	}
	seconds := func(n int64) time.Duration { return time.Duration(n) * time.Second }
	for _, d := range s.Detections {
		a.Detections = append(a.Detections, facts.AnsweredDetection{Name: d.Name, Action: d.Action, File: d.File, Off: d.Off, Permanent: d.Permanent,
			Count: d.Count, Timespan: seconds(d.Timespan), For: seconds(d.Seconds)})
	}
	for _, j := range s.Jails {
		a.Jails = append(a.Jails, facts.AnsweredJail{Name: j.Name, Filter: j.Filter, Problem: j.Problem, MaxRetry: j.MaxRetry,
			FindTime: seconds(j.FindTime), BanTime: seconds(j.BanTime), Permanent: j.Permanent})
	}
	return a
}
