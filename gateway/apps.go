package gateway

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/doorward/doorward/rules"
)

// App is what the gateway knows of one application, read from its folder (docs/app-folders.md). Paths are plain decoded
// prefixes of whole segments; the lists that restrict hold every spelling: the path itself, its own aliases, and
// each of them below every prefix in Prefixes. It is immutable.
type App struct {
	Name  string // as in the configuration: request-tracker, or the path of a folder
	Title string // for people

	AdminPaths  []string // for roles owner and admin
	AgentPaths  []string // for roles owner, admin and agent
	APIPaths    []string // called by programs; guarded like any other path
	DataPaths   []string // files of the application's own that nobody may fetch (D-28, D-30)
	DenyPaths   []string // what no installation should answer: database tools, installers, repositories (I-17)
	PublicPaths []string // for everybody, signed in or not

	// Prefixes are front controllers: /index.php here means that /index.php/x is the same page as /x.
	Prefixes []string

	// SessionCookies and RememberCookies name the application's login cookies. A final * stands for any rest.
	SessionCookies  []string
	RememberCookies []string

	Identity IdentityNames

	AuthorizationPaths []string // where a client's Authorization header passes (security.md 3)
	WebSocketPaths     []string
	WebhookPaths       []string // programs of others post here; nobody's cookies are passed on
	AttachmentPaths    []string // below them, segments are names that people chose: DenyNames does not hold
	DenyNames          []string // names of segments that nobody may ask for, wherever they stand; one * is any rest
	PollPaths          []string // asked for by open pages on their own: no sign of a person at the keyboard

	StripParams  []StripParams
	StripHeaders []string   // request headers that sign a client in or act for another; removed
	Paths        PathConfig // what the application needs in its paths (security.md 2)

	Exclusions []WAFExclusion // rules of the firewall that the application's own requests match

	// Facts are all of the above as written, each with its source, those of an extended folder first.
	Facts []AppFact
}

// IdentityNames are the request headers by which the application learns who is signed in (I-83). An empty
// name is not sent; all of them are removed from clients' requests.
type IdentityNames struct {
	User, Email, Name, Roles, Secret, Assertion string
}

// StripParams names request parameters by which the application would sign a client in itself. On Paths, a
// request that carries one of Names in its query or form is refused.
type StripParams struct {
	Paths []string
	Names []string // compared without regard to case
}

// AppFact is one line of knowledge from an application's folder.
type AppFact struct {
	Kind    string   // the key of the file that holds it: admin_paths, session_cookies, …
	Value   string   // the path or name; for identity headers FIELD=NAME
	Aliases []string // further spellings of a path
	Names   []string // the parameters, for refused_parameters
	Source  string   // where the fact can be looked up
	Low     bool     // the source does not show it for every version
	Why     string   // of a fact that is marked as unsure: what is unsure
	File    string   // NAME/gateway.yaml it was read from
}

// appFileName is the gateway's file in an application's folder.
const appFileName = "gateway.yaml"

// maxAppFile caps a folder's file, in bytes: it is read by the daemon, and knowledge about one application is short.
const maxAppFile = 256 << 10

// AppNames lists the applications that Doorward knows by name, sorted.
func AppNames() []string {
	entries, err := fs.ReadDir(rules.Apps(), ".")
	if err != nil {
		panic("gateway: read embedded application folders: " + err.Error())
	}
	var names []string
	for _, entry := range entries {
		if entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	slices.Sort(names)
	return names
}

// LoadApp reads an application's folder: an embedded one by its name, or one of the user's by a path, which
// holds a slash. An error lists every problem of the file with its line.
func LoadApp(name string) (*App, error) {
	if strings.Contains(name, "/") {
		root, err := os.OpenRoot(name)
		if err != nil {
			return nil, fmt.Errorf("open application folder: %w", err)
		}
		defer root.Close()
		return loadApp(root.FS(), ".", name)
	}
	if !slices.Contains(AppNames(), name) {
		return nil, fmt.Errorf("application %q: not known%s; known: %s, or the path of a folder of your own",
			name, didYouMean(name, AppNames()), strings.Join(AppNames(), ", "))
	}
	return loadApp(rules.Apps(), name, name)
}

func loadApp(tree fs.FS, folder, name string) (*App, error) {
	file := strings.TrimPrefix(folder+"/"+appFileName, "./")
	text, err := readCapped(tree, file)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("the folder holds no %s", appFileName)
	}
	if err != nil {
		return nil, fmt.Errorf("application %q: %w", name, err)
	}
	parsed, problems := parseAppFile(text)
	if len(problems) > 0 {
		return nil, fmt.Errorf("application %q: %s", name, joinProblems(file, problems))
	}
	app := &App{Name: name, Title: parsed.Title}
	if parsed.Extends != "" {
		base, err := loadApp(rules.Apps(), parsed.Extends, parsed.Extends)
		if err != nil {
			return nil, err
		}
		app.Facts, app.Exclusions = base.Facts, base.Exclusions
	}
	own, err := loadAppWAF(tree, folder)
	if err != nil {
		return nil, fmt.Errorf("application %q: %w", name, err)
	}
	app.Exclusions = append(slices.Clip(app.Exclusions), own...)
	app.Facts = append(slices.Clip(app.Facts), parsed.facts(name+"/"+appFileName)...)
	app.fill()
	return app, nil
}

func readCapped(tree fs.FS, file string) ([]byte, error) {
	f, err := tree.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fs.ErrNotExist
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxAppFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if len(text) > maxAppFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", file, maxAppFile)
	}
	return text, nil
}

// fill makes the lists out of the facts. Prefixes come first, because they multiply the paths.
func (a *App) fill() {
	for _, fact := range a.Facts {
		if fact.Kind == kindPrefixes {
			a.Prefixes = addUnique(a.Prefixes, append([]string{fact.Value}, fact.Aliases...)...)
		}
	}
	for _, fact := range a.Facts {
		a.take(fact)
	}
}

func (a *App) take(fact AppFact) {
	if list := a.pathList(fact.Kind); list != nil {
		paths := append([]string{fact.Value}, fact.Aliases...)
		if restricts(fact.Kind) {
			paths = a.belowPrefixes(paths)
		}
		*list = addUnique(*list, paths...)
		return
	}
	switch fact.Kind {
	case kindDenyNames:
		a.DenyNames = addUnique(a.DenyNames, fact.Value)
	case kindSessionCookies:
		a.SessionCookies = addUnique(a.SessionCookies, fact.Value)
	case kindRememberCookies:
		a.RememberCookies = addUnique(a.RememberCookies, fact.Value)
	case kindIdentity:
		field, name, _ := strings.Cut(fact.Value, "=")
		*a.Identity.field(field) = name
	case kindRefusedParameters:
		paths := a.belowPrefixes(append([]string{fact.Value}, fact.Aliases...))
		a.StripParams = append(a.StripParams, StripParams{Paths: paths, Names: fact.Names})
	case kindRefusedHeaders:
		a.StripHeaders = addUnique(a.StripHeaders, fact.Value)
	case kindAllow:
		a.Paths.Allow = addUnique(a.Paths.Allow, fact.Value)
	}
}

// restricts tells whether paths of a kind narrow what a client may do. Those must hold in every spelling; what
// loosens (public, Authorization, WebSocket) holds as written and nowhere else.
func restricts(kind string) bool {
	switch kind {
	case kindAdminPaths, kindAgentPaths, kindAPIPaths, kindDataPaths, kindDenyPaths, kindPollPaths:
		return true
	}
	return false
}

func (a *App) pathList(kind string) *[]string {
	switch kind {
	case kindAdminPaths:
		return &a.AdminPaths
	case kindAgentPaths:
		return &a.AgentPaths
	case kindAPIPaths:
		return &a.APIPaths
	case kindDataPaths:
		return &a.DataPaths
	case kindDenyPaths:
		return &a.DenyPaths
	case kindPublicPaths:
		return &a.PublicPaths
	case kindAuthorizationPaths:
		return &a.AuthorizationPaths
	case kindWebSocketPaths:
		return &a.WebSocketPaths
	case kindPollPaths:
		return &a.PollPaths
	case kindWebhookPaths:
		return &a.WebhookPaths
	case kindAttachmentPaths:
		return &a.AttachmentPaths
	}
	return nil
}

func (n *IdentityNames) field(name string) *string {
	switch name {
	case "user":
		return &n.User
	case "email":
		return &n.Email
	case "name":
		return &n.Name
	case "roles":
		return &n.Roles
	case "secret":
		return &n.Secret
	case "assertion":
		return &n.Assertion
	}
	return nil
}

// Spellings returns every path under which the application shows what it shows under path: path itself, its
// aliases if the folder names it, and each of them below every front controller. A rule that restricts
// path must restrict all of them.
func (a *App) Spellings(path string) []string {
	all := []string{path}
	for _, fact := range a.Facts {
		if fact.Kind == kindPrefixes || len(fact.Aliases) == 0 {
			continue
		}
		same := append([]string{fact.Value}, fact.Aliases...)
		for _, from := range same {
			rest, under := cutPathPrefix(path, from)
			if !under {
				continue
			}
			for _, to := range same {
				all = addUnique(all, strings.TrimSuffix(to, "/")+rest)
			}
		}
	}
	return a.belowPrefixes(all)
}

func (a *App) belowPrefixes(paths []string) []string {
	all := slices.Clone(paths)
	for _, prefix := range a.Prefixes {
		for _, path := range paths {
			if _, under := cutPathPrefix(path, prefix); !under {
				all = addUnique(all, strings.TrimSuffix(prefix, "/")+path)
			}
		}
	}
	return all
}

// cutPathPrefix takes whole segments off the front of path, without regard to case; rest is empty or begins with /.
func cutPathPrefix(path, prefix string) (rest string, ok bool) {
	prefix = strings.TrimSuffix(prefix, "/")
	if len(path) < len(prefix) || !strings.EqualFold(path[:len(prefix)], prefix) {
		return "", false
	}
	rest = path[len(prefix):]
	return rest, rest == "" || rest[0] == '/'
}

func addUnique(list []string, values ...string) []string {
	for _, value := range values {
		if !slices.Contains(list, value) {
			list = append(list, value)
		}
	}
	return list
}
