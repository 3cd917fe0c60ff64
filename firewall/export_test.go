package firewall

// Check reads one line of the protocol, as the server does; the fuzz test of the parser uses it.
func Check(line []byte) (elements int, err error) {
	r, err := parseRequest(line)
	return len(r.Elements), err
}

// Dumped reads one message of the kernel about a set and counts its elements.
func Dumped(message []byte) int { return len(appendElements(nil, message)) }

// Limits are those of the protocol.
const (
	MaxLine    = maxLine
	MaxPerLine = maxPerLine
)
