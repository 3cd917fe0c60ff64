package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newCompletion(s streams) *cobra.Command {
	shells := []string{"bash", "zsh", "fish"}
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Write the completion script of a shell",
		Long: `Completion writes what bash, zsh or fish needs to complete doorward's commands and flags.

For bash, with its bash-completion package: into /etc/bash_completion.d/doorward.
For zsh: into a file _doorward in a folder of $fpath.
For fish: into ~/.config/fish/completions/doorward.fish.`,
		Example:   "  doorward completion bash > /etc/bash_completion.d/doorward",
		Args:      exactly("SHELL: bash, zsh or fish"),
		ValidArgs: shells,
		RunE: func(c *cobra.Command, args []string) error {
			var err error
			switch args[0] {
			case "bash":
				err = c.Root().GenBashCompletionV2(s.out, true)
			case "zsh":
				err = c.Root().GenZshCompletion(s.out)
			case "fish":
				err = c.Root().GenFishCompletion(s.out, true)
			default:
				return usage("one of bash, zsh, fish", "there is no completion for %q", args[0])
			}
			if err != nil {
				return fmt.Errorf("write completion: %w", err)
			}
			return nil
		},
	}
}
