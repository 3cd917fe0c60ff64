// Package helpdesk is the small web application that the demo puts behind the gateway: people open tickets,
// support answers them. It keeps everything in memory, capped.
//
// It knows tickets and the identity headers of one request. It must not know how people sign in: it believes
// a request only together with the gateway's shared secret and refuses every other one.
package helpdesk
