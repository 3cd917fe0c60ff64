// Package rules holds what Doorward knows of the world as data: embedded files that the other packages read and judge.
// It knows where a file is and nothing of what stands in it, and it imports nothing of ours.
package rules

import (
	"embed"
	"io/fs"
)

//go:embed apps controls detections eol.yaml fixes packages.yaml parsers passwords profiles texts waf
var files embed.FS

// Apps is the tree of application folders: one folder an application, named as in the configuration file. The gateway
// reads NAME/gateway.yaml; docs/app-folders.md describes it.
func Apps() fs.FS { return folder("apps") }

// Passwords is what is known about passwords: presets/NAME.yaml are the password rules of the guides and standards,
// common.txt the passwords that everybody tries first, context.txt words that belong to every installation, walks.txt the
// lines that fingers follow on keyboards. Package auth/password reads them; docs/passwords.md describes them.
func Passwords() fs.FS { return folder("passwords") }

func folder(name string) fs.FS {
	tree, err := fs.Sub(files, name)
	if err != nil {
		panic("rules: the embedded tree has no folder " + name + ": " + err.Error()) // fs.Sub refuses only malformed names
	}
	return tree
}

// Texts is the folder of the texts that people read, one file a language. Package language reads it.
func Texts() fs.FS { return folder("texts") }

// Controls is what the guides ask for: one question about a host a row, in files by topic. Package audit reads them;
// docs/controls-format.md describes them.
func Controls() fs.FS { return folder("controls") }

// Profiles is which controls belong to which guide, and how a guide reads those that can be read in several ways.
func Profiles() fs.FS { return folder("profiles") }

// Fixes is what brings controls into force: repairs, the services that they concern, and where applications keep their
// passwords. Package audit/fix reads them; docs/hardening.md describes them.
func Fixes() fs.FS { return folder("fixes") }

// Parsers is how programs write their logs: one file a parser, which makes events of lines. Package ingest reads them;
// docs/parsers.md describes them.
func Parsers() fs.FS { return folder("parsers") }

// Detections is what is detected without anybody's doing: Sigma rules with responses, and lists that they use. Package detect
// reads them; docs/watch.md describes them.
func Detections() fs.FS { return folder("detections") }

// Waf is what the firewall's rule set doorward changes in the Core Rule Set: one change an entry, with its reason, an attack
// that it must still stop and a harmless text that it must let pass. Package gateway/waf reads it; docs/waf-rules.md
// describes it.
func Waf() fs.FS { return folder("waf") }

// EOL is until when releases get security updates (eol.yaml). Package audit/facts reads it.
func EOL() []byte { return file("eol.yaml") }

// Packages is which Debian packages are of which kind, and which kinds a server has no use for (packages.yaml). Package
// audit/facts reads it.
func Packages() []byte { return file("packages.yaml") }

func file(name string) []byte {
	text, err := files.ReadFile(name)
	if err != nil {
		panic("rules: the embedded tree has no file " + name + ": " + err.Error()) // the compiler embeds it or fails
	}
	return text
}
