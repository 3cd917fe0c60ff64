package pages

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"time"
)

// asset is a file that pages load.
type asset struct {
	body      []byte
	kind, tag string
}

// loadStatic reads the style sheet and the script.
func (p *Pages) loadStatic() error {
	kinds := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
	entries, err := files.ReadDir("static")
	if err != nil {
		return fmt.Errorf("list static files: %w", err)
	}
	for _, e := range entries {
		body, err := files.ReadFile("static/" + e.Name())
		if err != nil {
			return fmt.Errorf("read static file: %w", err)
		}
		sum := sha256.Sum256(body)
		p.static[e.Name()] = asset{body, kinds[path.Ext(e.Name())], `"` + hex.EncodeToString(sum[:8]) + `"`}
	}
	return nil
}

// serve answers conditional and range requests.
func (a asset) serve(x *exchange) error {
	h := x.w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Cache-Control", "public, max-age=3600")
	h.Set("ETag", a.tag)
	http.ServeContent(x.w, x.r, "", time.Time{}, bytes.NewReader(a.body))
	return nil
}
