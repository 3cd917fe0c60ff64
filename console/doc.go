// Package console serves the operators' own listener: health and readiness for the service manager, metrics
// for Prometheus, and the page that shows owners and admins how the gateway is doing.
//
// It knows what the other parts say about themselves. It must not judge the sites' requests, and nothing of
// it is ever reachable through a site.
package console
