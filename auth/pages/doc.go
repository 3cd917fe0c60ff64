// Package pages shows the pages that the sites and the console share: sign-in with its steps, sign-out, mailed links,
// and what people do with their own account.
//
// It knows forms, cookies, redirects and how a browser is asked for a passkey; who may sign in is package auth's business,
// and every word stands in the catalogue of package language. It must not know sites, access rules or upstreams: what it needs
// of a request's surroundings comes in a Visitor.
package pages
