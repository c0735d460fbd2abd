// Package console is how a command speaks: to a person at a terminal, to a log
// without one, or to a program in JSON Lines.
//
// Results go to standard output, everything on the way there to standard error,
// so that with -json standard output holds nothing but the lines of the
// contract: one for each file, one for each result.
package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/term"

	"sekisho/transfer"
	"sekisho/transfer/manifest"
	"sekisho/transfer/source"
)

// Console writes for one command. Its methods may be called concurrently.
type Console struct {
	Out  io.Writer
	Err  io.Writer
	JSON bool
	Lang string // "en" or "ja"

	mu       sync.Mutex
	progress progress
	terminal int // descriptor of the terminal that Err is; -1 when it is none
}

// New makes a console; lang is a language tag or a value of LANG.
func New(out, err io.Writer, lang string) *Console {
	c := &Console{Out: out, Err: err, Lang: "en", terminal: -1}
	if strings.HasPrefix(lang, "ja") {
		c.Lang = "ja"
	}
	if f, ok := err.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		c.terminal = int(f.Fd())
	}
	return c
}

// Language is what the environment asks for.
func Language() string {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := os.Getenv(name); v != "" {
			return v
		}
	}
	return ""
}

// Say writes a line for a person. With -json it goes to standard error.
func (c *Console) Say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clear()
	w := c.Out
	if c.JSON {
		w = c.Err
	}
	fmt.Fprintln(w, Visible(fmt.Sprintf(format, args...)))
}

// Note writes a line of how it goes to standard error.
func (c *Console) Note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clear()
	fmt.Fprintln(c.Err, Visible(fmt.Sprintf(format, args...)))
}

// Log is a log whose lines of warning and above go to standard error.
func (c *Console) Log() *slog.Logger {
	return slog.New(slog.NewTextHandler(noted{c}, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

type noted struct{ c *Console }

func (n noted) Write(line []byte) (int, error) {
	n.c.Note("%s", bytes.TrimSuffix(line, []byte("\n")))
	return len(line), nil
}

// Print writes one line of JSON to standard output.
func (c *Console) Print(v any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err == nil {
		_, _ = io.WriteString(c.Out, visibleJSON(line.String())) // standard output is gone: nobody is left to tell
	}
}

type fileLine struct {
	File     string             `json:"file"`
	Verdict  string             `json:"verdict"`
	Findings []manifest.Finding `json:"findings"`
}

// File reports a file: with -json every one, otherwise those left out.
func (c *Console) File(f transfer.File) {
	if c.JSON {
		findings := f.Findings
		if findings == nil {
			findings = []manifest.Finding{}
		}
		c.Print(fileLine{Name(f.Path), f.Verdict, findings})
		return
	}
	if f.Verdict == manifest.Clean {
		return
	}
	what := "left out"
	switch {
	case f.Carried && f.Verdict == manifest.Exempt:
		what = "carried"
	case f.Carried:
		what = "found"
	}
	var said []string
	for _, x := range f.Findings {
		said = append(said, x.Engine+" "+x.Name)
	}
	c.Note("  %s: %s, %s (%s)", source.Quote(string(f.Path)), what, f.Verdict, strings.Join(said, ", "))
}

// Name is a path as JSON can hold it: as it is, or quoted when it is not UTF-8.
func Name(p manifest.Path) string {
	if utf8.ValidString(string(p)) {
		return string(p)
	}
	return source.Quote(string(p))
}

type resultLine struct {
	Result   string          `json:"result"`
	Reason   transfer.Reason `json:"reason,omitempty"`
	Transfer string          `json:"transfer,omitempty"`
}

// Results of a command, as -json prints them.
const (
	Sealed   = "sealed"
	Partial  = "partial"
	Held     = "held"
	Accepted = "accepted"
	Refused  = "refused"
	Trouble  = "trouble"
)

// Result ends a transfer. With a reason, a person is told what happened and
// what to do; detail is what was found, for IT.
func (c *Console) Result(result string, reason transfer.Reason, id string, detail error) {
	if c.JSON {
		c.Print(resultLine{result, reason, id})
	}
	if reason == "" {
		return
	}
	t := TextOf(reason, c.Lang)
	ref := string(reason)
	if id != "" {
		ref += " " + id
	}
	if detail != nil {
		text := detail.Error()
		for _, known := range []string{string(reason), id} { // a refusal begins with them
			text = strings.TrimPrefix(strings.TrimPrefix(text, known), ": ")
		}
		if text != "" {
			ref += ": " + text
		}
	}
	c.Note("%s\n  %s\n  [%s]", t.What, t.Do, strings.ReplaceAll(ref, "\n", "; "))
}

// OneLine is an error's text without its line breaks.
func OneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// Counts writes how many files have which verdict, and what became of them.
func (c *Console) Counts(st *manifest.Statement) {
	for _, n := range st.Counts {
		if n.Files == 0 {
			continue
		}
		what := ""
		if n.Verdict == manifest.Detected || n.Verdict == manifest.Unscannable {
			what = ", left out"
		}
		c.Say("  %-11s %s, %s%s", n.Verdict, Count(n.Files, "file"), Bytes(n.Bytes), what)
	}
}
