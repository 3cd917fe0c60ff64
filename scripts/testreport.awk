# Reads go test -v and writes: a failed package whole; of a passed one its line and the tests that it skipped,
# with the reason. Skips are added to the file `left`, package lines to the file `results`.

function forget() { n = 0; skips = 0; split("", reason) }

/^=== (RUN|PAUSE|CONT|NAME)/ { running = $3; next }

# A log line; the last one of a skipped test is its reason.
/^ +[^ ]+\.go:[0-9]+: / { text = $0; sub(/^ +[^ ]+\.go:[0-9]+: /, "", text); reason[running] = text; lines[++n] = $0; next }

/^ *--- PASS/ || /^PASS$/ { next }

/^ *--- SKIP/ {
	lines[++n] = $0
	test = $0
	sub(/^ *--- SKIP: /, "", test)
	sub(/ \([0-9.]+s\)$/, "", test)
	skipped[++skips] = test ((test in reason) ? ": " reason[test] : "")
	next
}

/^ok[ \t]/ {
	for (i = 1; i <= skips; i++) {
		print "    skipped " skipped[i]
		print name ": " skipped[i] >> left
	}
	print
	print >> results
	fflush()
	forget()
	next
}

/^\?[ \t]/ { forget(); next }

/^FAIL[ \t]/ {
	for (i = 1; i <= n; i++) print lines[i]
	print
	print >> results
	fflush()
	forget()
	next
}

{ lines[++n] = $0 }

END { for (i = 1; i <= n; i++) print lines[i] }
