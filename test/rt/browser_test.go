package rt_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/test/real"
)

// TestWorkday is the main job: a person signs in through Doorward and works in Request Tracker, which knows who it is.
func TestWorkday(t *testing.T) {
	real.Require(t, "/usr/bin/chromium")
	port := real.FreePort(t)
	r := startTracker(t, port)
	d := real.StartDoorward(t, port, r.site())
	password := d.AddUser("anna", "agent", "--email", "anna@example.org", "--display-name", "Anna Agent")

	page := real.Open(t, real.Browser(t), d.URL+"/")
	if got := page.URL(); !strings.HasPrefix(got, d.URL+"/.doorward/sign-in") {
		t.Fatalf("a stranger who opens the tracker is at %s, want Doorward's sign-in page", got)
	}
	page.Fill("#username", "anna")
	page.Fill("#password", password)
	page.Click("button[type=submit]")
	if got := page.URL(); got != d.URL+"/" {
		t.Errorf("after the sign-in at %s, want the page that was asked for", got)
	}
	if got := page.Eval(`() => document.querySelector('.current-user').innerText`); got != "anna" {
		t.Errorf("RT says that %q is logged in, want anna", got)
	}
	work(t, page, d.URL)

	page.Click("#preferences-logout")
	if got := page.URL(); got != d.URL+"/.doorward/sign-out" {
		t.Fatalf("RT's Logout leads to %s, want Doorward's sign-out page", got)
	}
	page.Click("button[type=submit]")
	wantText(t, page, "You are signed out")
	page.Go(d.URL + "/Ticket/Display.html?id=1")
	if got := page.URL(); !strings.HasPrefix(got, d.URL+"/.doorward/sign-in") {
		t.Errorf("after the sign-out the ticket leads to %s, want the sign-in page", got)
	}
	if got := r.Log(); strings.Contains(got, "does NOT match the configured") {
		t.Errorf("RT sees another host or port than people do:\n%s", got)
	}
}

// work is a person's day with a ticket: create, reply, attach, read the attachment back, search.
func work(t *testing.T, page *real.Page, url string) {
	t.Helper()
	page.Go(url + "/Ticket/Create.html?Queue=1")
	page.Fill("input[name=Subject]", "The printer is on fire")
	write(page, "Smoke on the second floor.")
	page.Click("#SubmitTicket input[type=submit], input#SubmitTicket, [name=SubmitTicket]")
	wantText(t, page, "created in queue", "The printer is on fire", "Smoke on the second floor.")
	number := regexp.MustCompile(`[?&]id=(\d+)`).FindStringSubmatch(page.URL())
	if number == nil {
		t.Fatalf("after the ticket was made at %s, want its page", page.URL())
	}

	page.Go(url + "/Ticket/Update.html?Action=Respond&id=" + number[1])
	write(page, "The fire brigade is on its way.")
	content := "shopping list: one fire extinguisher\n" + strings.Repeat("0123456789abcdef", 4096)
	file := filepath.Join(t.TempDir(), "list.txt")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	page.Upload("input.dz-hidden-input", file)
	page.Await("#attach-dropzone .dz-success")
	page.Click("[name=SubmitTicket]")
	wantText(t, page, "Correspondence added", "The fire brigade is on its way.", "list.txt")
	got := page.Eval(`async () => {
		const link = Array.from(document.querySelectorAll('a')).find(a => /\/Ticket\/Attachment\/.*list\.txt$/.test(a.href));
		return (await fetch(link.href)).text();
	}`)
	if got != content {
		t.Errorf("the attachment came back with %d characters, want the %d that were sent", len(got), len(content))
	}

	page.Go(url + "/Search/Simple.html?q=printer")
	wantText(t, page, "The printer is on fire", "Found 1 ticket")
}

// write puts text where RT's editor, if it runs, or the plain field takes the message.
func write(page *real.Page, text string) {
	page.Await("textarea[name=Content], textarea[name=UpdateContent]")
	page.Eval(`async (text) => {
		const field = document.querySelector('textarea[name=UpdateContent], textarea[name=Content]');
		for (let i = 0; i < 100 && window.CKEDITOR && !(CKEDITOR.instances[field.id || field.name] || {}).status?.startsWith('ready'); i++)
			await new Promise(done => setTimeout(done, 50));
		const editor = window.CKEDITOR && (CKEDITOR.instances[field.id] || CKEDITOR.instances[field.name]);
		if (editor) await new Promise(done => editor.setData(text, done));
		else field.value = text;
	}`, text)
}

// wantText waits until the page says everything wanted: RT loads a ticket's history after the page.
func wantText(t *testing.T, page *real.Page, wants ...string) {
	t.Helper()
	for _, want := range wants {
		got := page.Text()
		for end := time.Now().Add(time.Minute); !strings.Contains(got, want); got = page.Text() {
			if time.Now().After(end) {
				t.Fatalf("the page at %s does not say %q:\n%s", page.URL(), want, got)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
}
