package app

import (
	"context"
	"net/netip"
	"time"

	"github.com/doorward/doorward/config"
	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/firewall"
)

// newKernel prepares the way to the process that enforces bans in the kernel, if the configuration wants one.
func (a *App) newKernel(cfg *config.Config) {
	if cfg.Firewall.Enforce {
		a.kernel = firewall.NewClient(firewall.ClientOptions{Socket: cfg.Firewall.Socket, Log: a.log, OnState: a.recordEnforce})
	}
}

// tellKernel hands the bans of addresses and networks on to the kernel, from what stands now to what changes.
func (a *App) tellKernel(ctx context.Context) error {
	for change := range a.decisions.Watch(ctx) {
		added := make([]firewall.Element, 0, len(change.Added))
		var removed []netip.Prefix
		for _, d := range change.Added {
			if bansAddress(d) {
				added = append(added, firewall.Element{Prefix: d.Target.Prefix, Until: d.Until})
			}
		}
		for _, d := range change.Removed {
			if bansAddress(d) {
				removed = append(removed, d.Target.Prefix)
			}
		}
		if change.Reset {
			a.kernel.Reset(added)
		} else {
			a.kernel.Change(added, removed)
		}
	}
	return ctx.Err()
}

func bansAddress(d *decision.Decision) bool {
	return d.Target.Kind == decision.Address && d.Action == decision.Ban
}

// recordEnforce makes an event of whether the kernel enforces bans. While it does not, the gateway still refuses them.
func (a *App) recordEnforce(reason string) {
	e := event.Event{Time: time.Now(), Class: event.Incident, Action: "enforce", Outcome: event.Success, Severity: event.Informational}
	if reason != "" {
		e.Outcome, e.Severity = event.Failure, event.High
		e.Fields = []event.Field{{Key: "reason", Value: reason}}
	}
	a.events.Append(e)
}
