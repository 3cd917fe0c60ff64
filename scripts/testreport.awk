# Reads go test -v and writes: of a failed package what its failed tests and nobody in particular said; of a
# passed one its line and the tests that it skipped, with the reason. Skips are added to the file `left`, package
# lines to the file `results`.

function forget() {
	n = skips = 0
	running = ""
	split("", lines); split("", test); split("", reason); split("", failed)
}
function keep(name) { lines[++n] = $0; test[n] = name }
function named(line) { sub(/^ *--- [A-Z]+: /, "", line); sub(/ \([0-9.]+s\)$/, "", line); return line }

/^=== (RUN|PAUSE|CONT|NAME)/ { running = $3; next }

/^ *--- PASS/ || /^PASS$/ { running = ""; next }

/^ *--- FAIL/ { name = named($0); failed[name] = 1; keep(name); running = ""; next }

/^ *--- SKIP/ {
	name = named($0)
	skipped[++skips] = name ((name in reason) ? ": " reason[name] : "")
	running = ""
	next
}

# A log line; the last one of a skipped test is its reason.
/^ +[^ ]+\.go:[0-9]+: / { text = $0; sub(/^ +[^ ]+\.go:[0-9]+: /, "", text); reason[running] = text; keep(running); next }

/^ok[ \t]/ {
	for (i = 1; i <= skips; i++) {
		print "    skipped " skipped[i]
		print suite ": " skipped[i] >> left
	}
	print
	print >> results
	fflush()
	forget()
	next
}

/^\?[ \t]/ { forget(); next }

/^FAIL[ \t]/ {
	for (i = 1; i <= n; i++) if (test[i] == "" || test[i] in failed || crashed) print lines[i]
	print
	print >> results
	fflush()
	forget()
	crashed = 0
	next
}

# A crash has no --- FAIL line: then everything may matter.
/^(panic:|fatal error:|SIG[A-Z]+:|WARNING: DATA RACE)/ { crashed = 1 }

{ keep(running) }

END { for (i = 1; i <= n; i++) print lines[i] }
