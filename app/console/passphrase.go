package console

import (
	"bytes"
	"os"
	"strings"

	"golang.org/x/term"
)

const maxPassphrase = 1 << 10 // bytes

// Passphrase returns the first line of the file that the command line names,
// which nobody but its owner may read; without a file it asks at the terminal,
// without echo, and a second time when a new one is chosen. what names the thing
// that the passphrase is for.
func (c *Console) Passphrase(file, what string, chosen bool) (string, error) {
	if file != "" {
		return passphraseFile(file)
	}
	fd := int(os.Stdin.Fd())
	if !term.IsTerminal(fd) {
		return "", Usagef("there is no terminal to ask for the passphrase of %s: -passphrase FILE names a file with it", what)
	}
	first, err := c.ask(fd, "passphrase of "+what+": ")
	if err != nil || !chosen {
		return first, err
	}
	again, err := c.ask(fd, "once more: ")
	if err != nil {
		return "", err
	}
	if again != first {
		return "", Usagef("the two passphrases differ; nothing was done")
	}
	return first, nil
}

// ask reads a line without echo. The prompt is not part of what the command
// says: it goes to standard error as it is.
func (c *Console) ask(fd int, prompt string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clear()
	_, _ = c.Err.Write([]byte(Visible(prompt)))
	line, err := term.ReadPassword(fd)
	_, _ = c.Err.Write([]byte("\n"))
	if err != nil {
		return "", Usagef("no passphrase was typed: %w", err)
	}
	return string(line), nil
}

func passphraseFile(path string) (string, error) {
	if err := Private(path); err != nil {
		return "", err
	}
	data, err := ReadFile(path, maxPassphrase)
	if err != nil {
		return "", err
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	if text := strings.TrimSuffix(string(line), "\r"); text != "" {
		return text, nil
	}
	return "", Usagef("the first line of %q, which should be a passphrase, is empty", path)
}

// Private demands that a file with a secret can be read by its owner only.
func Private(path string) error {
	st, err := os.Stat(path)
	if err != nil {
		return Usagef("the key file: %w", err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return Usagef("the key file %q can be read by others (%v): chmod 600", path, st.Mode().Perm())
	}
	return nil
}
