package demo

import (
	"bytes"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"text/template"

	"github.com/doorward/doorward/demo/helpdesk"
	"github.com/doorward/doorward/gateway"
)

// appFolder is what Doorward is told about the bundled helpdesk, in the form that anybody's own folder has.
//
//go:embed app/gateway.yaml
var appFolder []byte

//go:embed doorward.yaml.tmpl
var configText string

// Names inside the demo's folder.
const (
	configName = "doorward.yaml"
	secretName = "helpdesk.secret"
	socketName = "helpdesk.sock"
	logName    = "doorward.log"
	rootName   = "authority/root.crt" // made by the gateway
)

// configValues is what the configuration file is written from.
type configValues struct {
	HTTPS, Console []string
	Upstream       string
}

// writeFiles puts the configuration, the application folder and the shared secret into the folder.
func (f *folder) writeFiles(v configValues, secret string) error {
	quote := func(text string) (string, error) { // a JSON string is a YAML string
		quoted, err := json.Marshal(text)
		return string(quoted), err
	}
	page, err := template.New(configName).Funcs(template.FuncMap{"quote": quote}).Parse(configText)
	if err != nil {
		return fmt.Errorf("parse configuration template: %w", err)
	}
	var text bytes.Buffer
	if err := page.Execute(&text, v); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	if err := os.MkdirAll(f.file("app"), 0o700); err != nil {
		return fmt.Errorf("make application folder: %w", err)
	}
	for _, file := range []struct {
		name string
		text []byte
	}{
		{configName, text.Bytes()},
		{filepath.Join("app", "gateway.yaml"), appFolder},
		{secretName, []byte(secret + "\n")},
	} {
		if err := os.WriteFile(f.file(file.name), file.text, 0o600); err != nil {
			return fmt.Errorf("write %s: %w", file.name, err)
		}
	}
	return nil
}

// newSecret is what the gateway proves itself to the helpdesk with: 130 random bits.
func newSecret() string { return rand.Text() }

// helpdeskHeaders takes the header names from the application folder, so that both sides read one text.
func helpdeskHeaders(path string) (helpdesk.Headers, error) {
	app, err := gateway.LoadApp(path)
	if err != nil {
		return helpdesk.Headers{}, fmt.Errorf("load application folder: %w", err)
	}
	return helpdesk.Headers{User: app.Identity.User, Email: app.Identity.Email, Roles: app.Identity.Roles,
		Secret: app.Identity.Secret}, nil
}
