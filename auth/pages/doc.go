// Package pages shows the sign-in and sign-out pages that the sites and the console share.
//
// It knows forms, cookies and redirects; who may sign in is package auth's business. It must not know sites,
// access rules or upstreams: what it needs of a request's surroundings comes in a Visitor.
package pages
