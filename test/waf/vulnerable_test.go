package waf_test

import (
	"database/sql"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the database that statements are glued together for
)

// What the application must not give away, and what opens its sign-in.
const (
	secretRow   = "the-vault-opens-with-7719"
	appPassword = "sunflower9"
)

// vulnerable is a web application with every mistake of the textbooks: glued SQL, unescaped HTML, file names and commands from the
// query, redirects to anywhere, and a sign-in that counts no failures. It is part of these tests and of nothing else.
type vulnerable struct {
	url      string
	db       *sql.DB
	dir      string
	signIns  atomic.Int64 // tries that arrived
	requests atomic.Int64
	notes    chan []string
}

// startVulnerable starts the application on a port of its own.
func startVulnerable(t *testing.T) *vulnerable {
	t.Helper()
	a := &vulnerable{dir: t.TempDir(), notes: make(chan []string, 1)}
	a.notes <- nil
	var err error
	if a.db, err = sql.Open("sqlite", filepath.Join(a.dir, "shop.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.db.Close() })
	if _, err := a.db.Exec(`CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, price TEXT);
		INSERT INTO items VALUES (1, 'chair', '49'), (2, 'table', '129'), (3, 'lamp', '19');
		CREATE TABLE secrets (id INTEGER PRIMARY KEY, word TEXT);
		INSERT INTO secrets VALUES (1, '` + secretRow + `');`); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(a.dir, "help.txt"), []byte("There is no help.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for path, page := range map[string]func(http.ResponseWriter, *http.Request){"/{$}": a.home, "/items": a.items, "/search": a.search, "/notes": a.book,
		"/file": a.file, "/echo": a.command, "/go": a.redirect, "/login": a.login} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			a.requests.Add(1)
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			page(w, r)
		})
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	a.url = server.URL
	return a
}

// write shows a page.
func write(w http.ResponseWriter, body string) {
	fmt.Fprintf(w, "<!doctype html><html><head><title>Shop</title></head><body>%s</body></html>", body)
}

func (a *vulnerable) home(w http.ResponseWriter, _ *http.Request) {
	write(w, `<h1>Shop</h1><ul><li><a href="/items?id=1">Chair</a><li><a href="/search?q=chair">Search</a><li><a href="/notes">Notes</a>
<li><a href="/file?name=help.txt">Help</a><li><a href="/echo?word=hello">Echo</a><li><a href="/go?to=/items">Go</a></ul>`)
}

// items glues the number into its statement.
func (a *vulnerable) items(w http.ResponseWriter, r *http.Request) {
	rows, err := a.db.QueryContext(r.Context(), "SELECT id, name, price FROM items WHERE id = "+r.FormValue("id"))
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		// As PHP tells it on a page.
		write(w, "<b>Warning</b>: SQLite3::query(): Unable to prepare statement: 1, "+err.Error()+" in <b>/var/www/items.php</b> on line <b>7</b>")
		return
	}
	defer rows.Close()
	var out strings.Builder
	for rows.Next() {
		var id, name, price sql.NullString
		if err := rows.Scan(&id, &name, &price); err != nil {
			break
		}
		fmt.Fprintf(&out, "<p>%s: %s costs %s", id.String, name.String, price.String)
	}
	write(w, out.String())
}

// search shows what was asked for as it came.
func (a *vulnerable) search(w http.ResponseWriter, r *http.Request) {
	write(w, "<p>Nothing found for "+r.FormValue("q")+"</p>")
}

// book keeps what people write and shows it as it came.
func (a *vulnerable) book(w http.ResponseWriter, r *http.Request) {
	notes := <-a.notes
	if text := r.FormValue("text"); r.Method == http.MethodPost && text != "" && len(notes) < 1000 {
		notes = append(notes, text)
	}
	a.notes <- notes
	write(w, `<form method="post" action="/notes"><input name="text" value="hello"><input type="submit"></form><ul><li>`+strings.Join(notes, "<li>")+"</ul>")
}

// file reads whatever file is named.
func (a *vulnerable) file(w http.ResponseWriter, r *http.Request) {
	name := r.FormValue("name")
	if !filepath.IsAbs(name) {
		name = filepath.Join(a.dir, name)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		write(w, html.EscapeString(err.Error()))
		return
	}
	write(w, "<pre>"+string(text[:min(len(text), 4096)])+"</pre>")
}

// command gives a word to the shell. Attackers may look, and nothing else: the shell runs with few rights and little time.
func (a *vulnerable) command(w http.ResponseWriter, r *http.Request) {
	cmd := exec.CommandContext(r.Context(), "/usr/bin/timeout", "5", "/bin/sh", "-c", "echo "+r.FormValue("word"))
	cmd.Dir, cmd.Env, cmd.WaitDelay = a.dir, []string{"PATH=/usr/bin:/bin"}, time.Second
	out, _ := cmd.CombinedOutput() // what the shell complains about is part of the page
	write(w, "<pre>"+string(out[:min(len(out), 4096)])+"</pre>")
}

// redirect sends people anywhere.
func (a *vulnerable) redirect(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Location", r.FormValue("to"))
	w.WriteHeader(http.StatusFound)
}

// login counts no failures.
func (a *vulnerable) login(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		write(w, `<form method="post" action="/login"><input name="user"><input name="pass" type="password"><input type="submit"></form>`)
		return
	}
	a.signIns.Add(1)
	if r.FormValue("user") == "anna" && r.FormValue("pass") == appPassword {
		write(w, "Welcome, anna")
		return
	}
	write(w, "Wrong name or password")
}
