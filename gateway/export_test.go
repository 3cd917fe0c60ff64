package gateway

import "time"

// RefreshCertificates does what happens every 30 s, as if it were now.
func (g *Gateway) RefreshCertificates(now time.Time) { g.server.certs.refresh(now) }
