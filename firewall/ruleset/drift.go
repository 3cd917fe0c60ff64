package ruleset

import (
	"context"
	"strings"
)

// Drift tells how what is in force, as InForce has it, differs from a text once the kernel has it: lines with - are in force only,
// lines with + are wanted only. It is empty when both are the same. It takes root.
func Drift(ctx context.Context, inForce, text string) (string, error) {
	wanted, err := Written(ctx, text)
	if err != nil || wanted == inForce {
		return "", err
	}
	have, want := strings.Split(strings.TrimSpace(inForce), "\n"), strings.Split(strings.TrimSpace(wanted), "\n")
	if strings.TrimSpace(inForce) == "" {
		have = nil
	}
	var b strings.Builder
	for _, line := range common(have, want) {
		if line[0] != ' ' {
			b.WriteString(line + "\n")
		}
	}
	return b.String(), nil
}

// common walks along the longest common lines of both lists; lines of one only have - or + before them. Rulesets have some hundred
// lines at most; of longer ones the whole is named different.
func common(a, b []string) []string {
	const most = 2000
	var out []string
	if len(a) > most || len(b) > most {
		return []string{"-the whole ruleset", "+the whole ruleset"}
	}
	length := make([][]int, len(a)+1)
	for i := range length {
		length[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				length[i][j] = length[i+1][j+1] + 1
			} else {
				length[i][j] = max(length[i+1][j], length[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, " "+a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && length[i+1][j] >= length[i][j+1]:
			out = append(out, "-"+a[i])
			i++
		default:
			out = append(out, "+"+b[j])
			j++
		}
	}
	return out
}
