package rt_test

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/test/real"
)

// code is what people of a helpdesk write and paste: HTML, SQL, scripts, paths and logs, all of which firewalls take for attacks.
const code = `<p>Hello <b>Anna</b>, see <a href="https://www.example.org/a?b=1&amp;c=2" onclick="return false">the guide</a>.</p>
<pre>SELECT name, mail FROM users WHERE id = 1 OR 1=1 UNION SELECT 1, password FROM accounts -- ;
&lt;script&gt;alert(document.cookie)&lt;/script&gt; <img src="x.png" onerror="alert(1)">
cat /etc/passwd; rm -rf /tmp/x &amp;&amp; curl http://127.0.0.1/x.sh | sh
&lt;?php system($_GET['c']); include('../../../../etc/passwd'); ?&gt;
powershell.exe -NoProfile -Command Get-Process
10.0.0.7 - - "GET /index.php?page=../../../etc/passwd HTTP/1.1" 404
${jndi:ldap://127.0.0.1/a}</pre>`

// TestNothingIsBlocked: people work with Request Tracker in a browser, behind the blocking firewall, and no request of theirs is
// refused. It shows too that the firewall is at work.
func TestNothingIsBlocked(t *testing.T) {
	real.Require(t, "/usr/bin/chromium")
	real.Program(t) // built before the clock of a command runs
	port := real.FreePort(t)
	r := startTracker(t, port)
	for _, rules := range []string{"crs", "doorward"} {
		t.Run(rules, func(t *testing.T) {
			d := real.StartDoorward(t, port, r.site()+"    waf: {mode: block}\nwaf: {rules: "+rules+"}\n")
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("refused:\n%s", strings.Join(refusals(t, d), ""))
				}
			})
			// RT's own administrator, who may do everything.
			password := d.AddUser("root", "owner", "--email", "root@example.org")
			page := real.Open(t, real.Browser(t), d.URL+"/")
			page.Fill("#username", "root")
			page.Fill("#password", password)
			page.Click("button[type=submit]")
			browser := page.Browser()
			number := talk(t, page, d.URL)
			// A tab lives a quarter of an hour.
			if rules == "doorward" { // the default works a whole day, the published rules a morning
				lookFor(t, real.Open(t, browser, d.URL+"/"), d.URL, number)
				administer(t, real.Open(t, browser, d.URL+"/"), d.URL)
			}
			page = real.Open(t, browser, d.URL+"/")
			for _, e := range refusals(t, d) {
				t.Errorf("refused: %s", e)
			}
			page.Go(d.URL + "/?q=" + url.QueryEscape("<script>alert(1)</script>"))
			wantText(t, page, "looks like an attack")
			if len(refusals(t, d)) == 0 {
				t.Error("an attack made no event: the firewall is not at work")
			}
			d.Process.Stop()
		})
	}
}

// refusals are the events of requests that the firewall refused. They can be had after the test's end, too.
func refusals(t *testing.T, d *real.Doorward) []string {
	t.Helper()
	var problems strings.Builder
	cmd := exec.Command(real.Program(t), "event", "search", "--config", d.Config, "--action", "waf", "--outcome", "refused", "--limit", "0", "--json")
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("read the events: %v\n%s", err, problems.String())
	}
	return slices.Collect(strings.Lines(string(out)))
}

// sendForm fills the fields of a form at path by their names, submits it with the button that submit finds.
func sendForm(t *testing.T, page *real.Page, path, submit string, fields ...string) {
	t.Helper()
	page.Go(path)
	fill(t, page, fields...)
	page.Click(submit)
}

// fill sets fields by their names.
func fill(t *testing.T, page *real.Page, fields ...string) {
	t.Helper()
	for i := 0; i < len(fields); i += 2 {
		got := page.Eval(`async (name, value) => {
			const field = document.querySelector('form [name="' + name + '"]:not([type=hidden])') || document.querySelector('[name="' + name + '"]');
			if (!field) return 'missing';
			field.value = value;
			const editor = () => window.CKEDITOR && (CKEDITOR.instances[field.id] || CKEDITOR.instances[field.name]);
			for (let i = 0; i < 100 && /richtext/.test(field.className) && window.CKEDITOR && !(editor() || {}).status?.startsWith('ready'); i++)
				await new Promise(done => setTimeout(done, 50));
			if (editor()) await new Promise(done => editor().setData(value, done));
			return 'set';
		}`, fields[i], fields[i+1])
		if got != "set" {
			t.Fatalf("the page at %s has no field %s: %s", page.URL(), fields[i], page.Text())
		}
	}
}

// talk makes a ticket, answers it with HTML and code, and attaches a script. It returns the ticket's number.
func talk(t *testing.T, page *real.Page, url string) string {
	t.Helper()
	page.Go(url + "/Ticket/Create.html?Queue=1")
	page.Fill("input[name=Subject]", "Login fails: 'or' 1=1 <script> in the form & DROP TABLE")
	fill(t, page, "Requestors", "o'neil@example.org", "Cc", `"Doe; John" <john@example.org>`)
	write(page, code)
	page.Click("#SubmitTicket input[type=submit], input#SubmitTicket, [name=SubmitTicket]")
	wantText(t, page, "created in queue", "Login fails")
	found := regexp.MustCompile(`[?&]id=(\d+)`).FindStringSubmatch(page.URL())
	if found == nil {
		t.Fatalf("after the ticket was made at %s, want its page", page.URL())
	}
	number := found[1]
	for _, action := range []string{"Respond", "Comment"} {
		page.Go(url + "/Ticket/Update.html?Action=" + action + "&id=" + number)
		write(page, code)
		fill(t, page, "UpdateSubject", "Re: SELECT * FROM tickets WHERE 'a'='a'")
		for n, name := range []string{"dump.sql", "shell.php", "run.sh", "web.config", "photo (1).jpg"} {
			file := filepath.Join(t.TempDir(), name)
			if err := os.WriteFile(file, []byte("<?php system($_GET['c']); ?>\n"+code), 0o600); err != nil {
				t.Fatal(err)
			}
			page.Upload("input.dz-hidden-input", file)
			page.Await("#attach-dropzone" + strings.Repeat(" .dz-success ~", n) + " .dz-success")
		}
		page.Click("[name=SubmitTicket]")
		wantText(t, page, map[string]string{"Respond": "Correspondence added", "Comment": "Comments added"}[action], "shell.php")
	}
	page.Go(url + "/Ticket/Update.html?Action=Respond&QuoteTransaction=5&id=" + number)
	page.Await("textarea[name=UpdateContent]")
	sendForm(t, page, url+"/Ticket/Modify.html?id="+number, "form[name=TicketModify] [type=submit], #TicketModify [type=submit]", "Subject", "Can't open C:\\Windows\\System32\\cmd.exe; see /etc/hosts")
	sendForm(t, page, url+"/Ticket/ModifyLinks.html?id="+number, "form[name=ModifyLinks] [type=submit], [name=SubmitTicket]", number+"-RefersTo", "http://localhost:8080/x?a=1&b=../c https://10.0.0.7/admin.php")
	sendForm(t, page, url+"/Ticket/ModifyDates.html?id="+number, "form [type=submit][value*=Save], [name=SubmitTicket]", "Due_Date", "2026-12-24 12:00:00")
	sendForm(t, page, url+"/Ticket/ModifyAll.html?id="+number, "[name=SubmitTicket]", "UpdateSubject", "union select", "UpdateContent", code)
	page.Go(url + "/Ticket/History.html?id=" + number)
	return number
}

// lookFor searches in every way that RT has.
func lookFor(t *testing.T, page *real.Page, root, number string) {
	t.Helper()
	query := `( Subject LIKE 'Login' OR Content LIKE 'script' ) AND Status != 'rejected' AND id > 0 AND Requestor.EmailAddress NOT LIKE 'x@example.org' AND Created > '2020-01-01'`
	format := `'<B><A HREF="__WebPath__/Ticket/Display.html?id=__id__">__id__</a></B>/TITLE:#', '<B><A HREF="__WebPath__/Ticket/Display.html?id=__id__">__Subject__</a></B>/TITLE:Subject', Status, QueueName, Owner, Priority, '__NEWLINE__', '__NBSP__', '<small>__Requestors__</small>', '<small>__CreatedRelative__</small>'`
	args := url.Values{"Query": {query}, "Format": {format}, "Order": {"DESC|ASC"}, "OrderBy": {"id|Owner.Name"}, "RowsPerPage": {"50"}}.Encode()
	for _, path := range []string{"/Search/Results.html?", "/Search/Build.html?", "/Search/Edit.html?", "/Search/Bulk.html?", "/Search/Chart.html?GroupBy=Owner.Name&"} {
		page.Go(root + path + args)
	}
	page.Go(root + "/Search/Results.html?Query=" + url.QueryEscape("Owner = '__CurrentUser__' AND ( Status = '__Active__')"))
	sendForm(t, page, root+"/Search/Edit.html?"+args, "#BuildQueryAdvanced [type=submit]", "Query", query, "Format", format)
	sendForm(t, page, root+"/Search/Build.html?"+args, "[name=DoSearch]", "ValueOfAttachment", "drop table users; select 1")
	sendForm(t, page, root+"/Search/Build.html?"+args, "[name=SavedSearchSave]", "SavedSearchDescription", "Mine: <b>or</b> 'x'='x'")
	sendForm(t, page, root+"/Search/Bulk.html?"+args, "form [type=submit]", "UpdateContent", code)
	for _, q := range []string{"login", "o'neil", "subject:'drop table'", "fulltext:script", "owner = 'root' or 1=1", "root@localhost", "#" + number} {
		page.Go(root + "/Search/Simple.html?q=" + url.QueryEscape(q))
	}
	page.Go(root + "/Search/Results.html?" + args)
	page.Eval(`async address => (await fetch(address)).status`, "/Search/Results.tsv?"+args)
	page.Eval(`async address => (await fetch(address)).status`, "/Helpers/Autocomplete/Users?term=o'neil&return=Name")
	page.Eval(`async address => (await fetch(address)).status`, "/Helpers/Autocomplete/Tickets?term=drop+table")
}

// administer opens RT's administration and saves what contains code there.
func administer(t *testing.T, page *real.Page, root string) {
	t.Helper()
	for _, path := range []string{"/Admin/", "/Admin/Users/", "/Admin/Users/?UserField=EmailAddress&UserOp=LIKE&UserString=o%27neil", "/Admin/Groups/", "/Admin/Queues/", "/Admin/Queues/Modify.html?id=1",
		"/Admin/Queues/GroupRights.html?id=1", "/Admin/Queues/People.html?id=1", "/Admin/CustomFields/", "/Admin/Scrips/", "/Admin/Global/Templates.html", "/Admin/Global/GroupRights.html",
		"/Admin/Global/MyRT.html", "/Admin/Tools/Configuration.html", "/Admin/Tools/EditConfig.html", "/Admin/Tools/Queries.html", "/Admin/Tools/Theme.html", "/Admin/Tools/Shredder/", "/Admin/Tools/RightsInspector.html",
		"/Admin/Lifecycles/", "/Admin/Articles/", "/Admin/Assets/", "/Prefs/Other.html", "/Prefs/MyRT.html", "/Dashboards/Modify.html?Create=1", "/Reports/", "/Tools/MyDay.html", "/User/Summary.html?id=14"} {
		page.Go(root + path)
	}
	sendForm(t, page, root+"/Admin/Queues/Modify.html?Create=1", "form[name=ModifyQueue] [type=submit]", "Name", t.Name()+" R&D; sales", "Description", "Research & development; don't mail", "CorrespondAddress", "rd@example.org")
	sendForm(t, page, root+"/Admin/Users/Modify.html?Create=1", "[name=Create], form[action*='Users/Modify'] [type=submit]", "Name", strings.ReplaceAll(t.Name(), "/", ""), "RealName", "Conan O'Neil; drop",
		"FreeformContactInfo", "Main St. 1 -- 2nd floor\nroom 'A' or 'B'", "Comments", code)
	sendForm(t, page, root+"/Admin/Groups/Modify.html?Create=1", "form[action*='Groups/Modify'] [type=submit], form[name=ModifyGroup] [type=submit]", "Name", t.Name()+" group", "Description", "All of R&D, and the unions")
	sendForm(t, page, root+"/Admin/Global/Template.html?Queue=0&Create=1", "form[name=ModifyTemplate] [type=submit]", "Name", t.Name()+" template", "Content", perl)
	sendForm(t, page, root+"/Admin/Scrips/Create.html?Global=1", "#CreateScrip [type=submit]", "Description", t.Name(), "CustomIsApplicableCode", perl, "CustomPrepareCode", perl, "CustomCommitCode", perl)
	sendForm(t, page, root+"/Admin/CustomFields/Modify.html?Create=1", "form[name=ModifyCustomField] [type=submit], #ModifyCustomField [type=submit]", "Name", t.Name()+" field", "Description", "The customer's number",
		"LinkValueTo", "https://wiki.example.org/?q=__CustomField__&r=../x", "IncludeContentForValue", "http://localhost/?id=__id__", "Pattern", `(?#Mandatory)^\d{3}-(SELECT|UNION)|[^<>]*$`)
	sendForm(t, page, root+"/Prefs/AboutMe.html", "form[name=EditAboutMe] [type=submit], form[action*=AboutMe] [type=submit]", "Signature", code)
}

// perl is what RT's administrators write into templates and scrips.
const perl = `Subject: { $Ticket->Subject }
Content-Type: text/html

{ use strict; my $x = $Transaction->CreatorObj->EmailAddress; return "" unless $x =~ /\@(?:example\.org|localhost)$/i;
  my @rows = map { "<li>$_</li>" } sort keys %ENV; open(my $f, '<', '/etc/hostname'); system("/bin/date"); eval { die "x" };
  $RT::Handle->dbh->selectall_arrayref("SELECT id FROM Tickets WHERE Owner = 'root' OR Status = 'new'"); join "\n", @rows }
<script type="text/javascript">document.write("x")</script>`
