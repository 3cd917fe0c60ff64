package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// passwordFlags are the ways in which a command may get a new password. Never an argument: arguments are
// shown to every user of the machine and kept in shell histories.
type passwordFlags struct {
	stdin    bool
	generate bool
}

func addPasswordFlags(c *cobra.Command) *passwordFlags {
	f := &passwordFlags{}
	c.Flags().BoolVar(&f.stdin, "password-stdin", false, "read the password from standard input, one line")
	c.Flags().BoolVar(&f.generate, "generate-password", false, "make a password and show it once")
	return f
}

// read returns the new password. generated tells that the person has not seen it yet.
func (f *passwordFlags) read(ctx context.Context, s streams) (password string, generated bool, err error) {
	switch {
	case f.generate && f.stdin:
		return "", false, usage("pass one of them", "--password-stdin and --generate-password contradict each other")
	case f.generate:
		return generatePassword(), true, nil
	case f.stdin:
		password, err = readLine(s.in)
		return password, false, err
	case !isTerminal(s.in):
		return "", false, usage("pass --password-stdin to read it from standard input, or --generate-password", "standard input is no terminal to ask for the password on")
	}
	first, err := ask(ctx, s, "New password: ")
	if err != nil {
		return "", false, err
	}
	second, err := ask(ctx, s, "Once more: ")
	if err != nil {
		return "", false, err
	}
	if first != second {
		return "", false, failure("", "the two passwords differ; nothing was changed")
	}
	return first, false, nil
}

// generatePassword makes one of 20 random characters (more than 99 bits), in groups that a person can type. It has every class
// that a preset may ask for (D-05, M-03): small and capital letters, digits, and dashes for symbols.
func generatePassword() string {
	for {
		text := rand.Text()
		small, capital := strings.ToLower(text[:15]), text[15:20]
		if strings.ContainsAny(small, "234567") && strings.Trim(small, "234567") != "" && strings.Trim(capital, "234567") != "" {
			return small[:5] + "-" + small[5:10] + "-" + small[10:] + "-" + capital
		}
	}
}

// maxLine bounds what is read as a password; accounts take far shorter ones.
const maxLine = 4096

// readLine reads up to the first line break, or the end.
func readLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxLine)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read password: %w", err)
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	if line == "" {
		return "", failure("", "the password is empty; nothing was changed")
	}
	return line, nil
}

func isTerminal(f *os.File) bool {
	if f == nil {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// ask reads one line from the terminal without showing it. The terminal is put back as it was, also when
// the person gives up with ctrl-C.
func ask(ctx context.Context, s streams, prompt string) (string, error) {
	fd := int(s.in.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return "", fmt.Errorf("read terminal settings: %w", err)
	}
	silent := *before
	silent.Lflag &^= unix.ECHO
	silent.Lflag |= unix.ICANON | unix.ISIG
	silent.Iflag |= unix.ICRNL
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &silent); err != nil {
		return "", fmt.Errorf("turn off the terminal's echo: %w", err)
	}
	defer func() {
		_ = unix.IoctlSetTermios(fd, unix.TCSETS, before) // nothing else can be done about it
		fmt.Fprintln(s.err)
	}()
	fmt.Fprint(s.err, prompt)
	type answer struct {
		line string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		line, err := readLine(s.in)
		answers <- answer{line, err}
	}()
	select {
	case a := <-answers:
		return a.line, a.err
	case <-ctx.Done(): // the reader stays blocked in the terminal; the process is about to end
		return "", failure("", "interrupted; nothing was changed")
	}
}
