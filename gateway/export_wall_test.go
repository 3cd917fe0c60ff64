package gateway

import (
	"context"
	"time"

	"github.com/doorward/doorward/gateway/waf"
)

// NoteLearning does what happens each minute, as if it were now: it tells how the learning period of a site stands.
func (g *Gateway) NoteLearning(ctx context.Context, host string, now time.Time) (next time.Time, err error) {
	return g.noteLearning(ctx, g.policy.Load().siteFor(host), now)
}

// Walls are the modes of a site's firewall at moments.
func (g *Gateway) Walls(host string, at ...time.Time) (modes []waf.Mode) {
	for _, now := range at {
		modes = append(modes, g.policy.Load().siteFor(host).waf.at(now).Mode())
	}
	return modes
}

// Problem is what is wrong with a learning period at the moment now.
func (l LearnUntil) Problem(mode string, now time.Time) string { return l.problem(mode, now) }
