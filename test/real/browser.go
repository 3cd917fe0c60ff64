package real

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/go-rod/rod"
	"github.com/go-rod/rod/lib/launcher"
	"github.com/go-rod/rod/lib/launcher/flags"
)

// chromium is Debian's browser.
const chromium = "/usr/bin/chromium"

// Browser starts a fresh Chromium without a window, an empty profile and any traffic of its own. It accepts every
// certificate: Doorward's own authority is tested where certificates are.
func Browser(t testing.TB) *rod.Browser {
	t.Helper()
	Require(t, chromium)
	profile, err := os.MkdirTemp("", "doorward-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, profile) })
	l := launcher.New().Bin(chromium).Leakless(false).Headless(true).NoSandbox(true).UserDataDir(profile)
	for _, flag := range []flags.Flag{"disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
		"disable-component-update", "disable-sync", "ignore-certificate-errors", "disable-dev-shm-usage"} {
		l = l.Set(flag)
	}
	address, err := l.Launch()
	if err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	t.Cleanup(l.Kill)
	b := rod.New().ControlURL(address)
	if err := b.Connect(); err != nil {
		t.Fatalf("connect to Chromium: %v", err)
	}
	t.Cleanup(func() { _ = b.Close() }) // Kill follows
	return b
}

// Page is one tab. Its steps fail the test, with a screenshot's place in the log, when they take longer than a minute.
type Page struct {
	t testing.TB
	*rod.Page
}

// Open opens url in a new tab.
func Open(t testing.TB, b *rod.Browser, url string) *Page {
	t.Helper()
	var p *Page
	step(t, nil, "open "+url, func() {
		p = &Page{t, b.MustPage().Timeout(15 * time.Minute)}
		p.Page.MustNavigate(url).MustWaitLoad()
	})
	return p
}

// Go follows a link to url in this tab: unlike an address that is typed, it tells where the person comes from.
func (p *Page) Go(url string) {
	p.t.Helper()
	step(p.t, p, "go to "+url, func() {
		page := p.Page.Timeout(time.Minute)
		loaded := page.MustWaitNavigation()
		page.MustEval(`url => { location.assign(url) }`, url)
		loaded()
		page.MustWaitLoad()
	})
}

// Fill types text into the field that selector finds.
func (p *Page) Fill(selector, text string) {
	p.t.Helper()
	step(p.t, p, "fill "+selector, func() {
		p.Page.Timeout(time.Minute).MustElement(selector).MustSelectAllText().MustInput(text)
	})
}

// Upload gives files to the file field that selector finds.
func (p *Page) Upload(selector string, files ...string) {
	p.t.Helper()
	step(p.t, p, "upload to "+selector, func() { p.Page.Timeout(time.Minute).MustElement(selector).MustSetFiles(files...) })
}

// Click clicks what selector finds and waits for the page that follows.
func (p *Page) Click(selector string) {
	p.t.Helper()
	step(p.t, p, "click "+selector, func() {
		page := p.Page.Timeout(time.Minute)
		loaded := page.MustWaitNavigation()
		page.MustElement(selector).MustEval(`() => this.click()`)
		loaded()
		page.MustWaitLoad()
	})
}

// Text is what the page shows.
func (p *Page) Text() (text string) {
	p.t.Helper()
	step(p.t, p, "read the page", func() { text = p.Page.Timeout(time.Minute).MustElement("body").MustText() })
	return text
}

// URL is where the tab is.
func (p *Page) URL() (url string) {
	p.t.Helper()
	step(p.t, p, "read the address", func() { url = p.Page.Timeout(time.Minute).MustInfo().URL })
	return url
}

// step turns a failure of the browser into one of the test that says which step it was and what the page showed.
func step(t testing.TB, p *Page, what string, f func()) {
	t.Helper()
	err := rod.Try(f)
	if err == nil {
		return
	}
	var thrown *rod.TryError
	if errors.As(err, &thrown) { // without its stack
		err = fmt.Errorf("%v", thrown.Value)
	}
	shown := ""
	if p != nil {
		_ = rod.Try(func() {
			page := p.Page.CancelTimeout().Timeout(10 * time.Second)
			shown = page.MustInfo().URL + "\n" + page.MustElement("body").MustText()
		})
	}
	t.Fatalf("browser: %s: %v\nthe page: %s", what, err, shown[:min(len(shown), 3000)])
}

// Eval runs a JavaScript function in the page, such as `() => document.title`, and returns its result as text.
func (p *Page) Eval(function string, args ...any) (result string) {
	p.t.Helper()
	step(p.t, p, "run "+function, func() { result = p.Page.Timeout(time.Minute).MustEval(function, args...).String() })
	return result
}

// Await waits until the page holds what selector finds.
func (p *Page) Await(selector string) {
	p.t.Helper()
	step(p.t, p, "wait for "+selector, func() { p.Page.Timeout(time.Minute).MustElement(selector) })
}
