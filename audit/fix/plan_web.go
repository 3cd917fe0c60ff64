package fix

import (
	"context"
	"fmt"
	"path"
	"strings"
)

const (
	apacheAvailable = "/etc/apache2/mods-available"
	apacheEnabled   = "/etc/apache2/mods-enabled"
)

// enable plans that modules of Apache are switched on, as a2enmod does.
func (p *planner) enable(_ context.Context, r repair) error {
	for _, name := range r.Enable {
		found := false
		for _, suffix := range []string{".load", ".conf"} {
			file := name + suffix
			if !p.there(path.Join(apacheAvailable, file)) {
				continue
			}
			found = true
			link, now, err := p.look(path.Join(apacheEnabled, file))
			if err != nil {
				return err
			}
			if now.Type == "" {
				p.set(link, now, state{Type: isLink, Target: "../mods-available/" + file})
			}
		}
		if !found {
			return nothing("module %s of Apache is not installed", name)
		}
	}
	return nil
}

// beside plans a line in every block that has lines of its own with the same directive: nginx inherits add_header only where
// a block has none.
func (p *planner) beside(_ context.Context, r repair) error {
	for _, b := range r.Beside {
		for _, glob := range b.Files {
			names, err := p.m.host.Glob(glob)
			if err != nil {
				return err
			}
			for _, name := range names {
				full, now, err := p.file(name)
				if err != nil || now.Type != isFile {
					return fmt.Errorf("%s is no file that can be read (%v)", name, err)
				}
				p.text(full, now, besideLines(string(now.Bytes), b.Key, b.Line))
			}
		}
	}
	return nil
}

// besideLines puts line before the first line of each block that begins with key, unless the block has it. Blocks are told by
// their braces; one in a string is counted too, and then the line stands in the wrong block or not at all, which the
// control shows.
func besideLines(text, key, line string) string {
	lines := splitLines(text)
	first := map[int]int{} // the line of text before which it is put, by block
	has := map[int]bool{}
	blocks, next := []int{0}, 1
	for i, old := range lines {
		words := strings.TrimSpace(old)
		if strings.HasPrefix(words, "#") {
			continue
		}
		block := blocks[len(blocks)-1]
		if strings.HasPrefix(words, key+" ") {
			if _, seen := first[block]; !seen {
				first[block] = i
			}
			has[block] = has[block] || words == line
		}
		for _, c := range words {
			switch c {
			case '{':
				blocks, next = append(blocks, next), next+1
			case '}':
				blocks = blocks[:max(1, len(blocks)-1)]
			}
		}
	}
	for block, i := range first {
		if !has[block] {
			indent := lines[i][:len(lines[i])-len(strings.TrimLeft(lines[i], " \t"))]
			lines[i] = indent + line + "\n" + lines[i]
		}
	}
	return strings.Join(lines, "")
}
