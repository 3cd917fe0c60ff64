// Package demo runs all of Doorward on one machine for somebody who wants to look at it: the gateway in front
// of a small bundled helpdesk, the console, and one account for each role. It needs no root and no network.
//
// It writes an ordinary configuration file and an application folder and starts them by the same path as
// "doorward serve". It must not change how any part behaves.
package demo
