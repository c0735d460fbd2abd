package console

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"golang.org/x/term"

	"sekisho/transfer"
)

// progress coalesces a flow's many reports into few.
type progress struct {
	phase   transfer.Phase
	started time.Time
	shown   time.Time
	width   int // of the line standing on the terminal
}

// How often progress is shown: on a terminal it is one line that changes.
const (
	onTerminal = 250 * time.Millisecond
	onLines    = 5 * time.Second
	onJSON     = time.Second
)

// Progress shows how far a flow has come: phase, files, bytes, rate and the time
// that remains. With -json it writes JSON Lines to standard error.
func (c *Console) Progress(p transfer.Progress) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	fresh := p.Phase != c.progress.phase
	if fresh {
		c.clear()
		c.progress = progress{phase: p.Phase, started: now}
	}
	every := onLines
	switch {
	case c.JSON:
		every = onJSON
	case c.terminal >= 0:
		every = onTerminal
	}
	if since := now.Sub(c.progress.shown); since < every {
		return
	}
	if fresh && c.terminal < 0 && !c.JSON {
		c.progress.shown = now // the first line is worth saying only after a while
		return
	}
	c.progress.shown = now
	rate, left := estimate(p, now.Sub(c.progress.started))
	if c.JSON {
		line, err := json.Marshal(map[string]any{"phase": p.Phase, "transfer": p.Transfer, "files": p.Files, "totalFiles": p.TotalFiles,
			"bytes": p.Bytes, "totalBytes": p.TotalBytes, "bytesPerSecond": int64(rate), "remainingSeconds": int64(left.Seconds())})
		if err == nil {
			fmt.Fprintf(c.Err, "%s\n", line)
		}
		return
	}
	line := Line(p, rate, left)
	if c.terminal < 0 {
		fmt.Fprintln(c.Err, line)
		return
	}
	c.clear()
	// A line that wraps could not be taken back.
	if columns, _, err := term.GetSize(c.terminal); err == nil && columns > 1 && len(line) >= columns {
		line = line[:columns-1]
	}
	c.progress.width = len(line)
	fmt.Fprint(c.Err, line)
}

// clear takes the progress line off the terminal.
func (c *Console) clear() {
	if c.progress.width > 0 {
		fmt.Fprintf(c.Err, "\r%s\r", strings.Repeat(" ", c.progress.width))
		c.progress.width = 0
	}
}

// estimate gives bytes per second and, when the total is known, what remains.
func estimate(p transfer.Progress, since time.Duration) (rate float64, left time.Duration) {
	if since <= 0 || p.Bytes == 0 {
		return 0, 0
	}
	rate = float64(p.Bytes) / since.Seconds()
	share := 0.0
	if p.TotalBytes > 0 {
		share = float64(p.Bytes) / float64(p.TotalBytes)
	}
	if p.TotalFiles > 0 { // many small files cost by their number
		share = (share + float64(p.Files)/float64(p.TotalFiles)) / 2
	}
	if share > 0 && share < 1 {
		left = time.Duration(float64(since) * (1 - share) / share)
	}
	return rate, left
}

// Line words progress for people, in ASCII, with times as people say them.
func Line(p transfer.Progress, rate float64, left time.Duration) string {
	s := string(p.Phase)
	if p.TotalFiles > 0 {
		s += fmt.Sprintf("  %d of %d files", p.Files, p.TotalFiles)
	} else if p.Files > 0 {
		s += "  " + Count(p.Files, "file")
	}
	if p.TotalBytes > 0 {
		s += fmt.Sprintf("  %s of %s", Bytes(p.Bytes), Bytes(p.TotalBytes))
	} else if p.Bytes > 0 {
		s += "  " + Bytes(p.Bytes)
	}
	if rate > 0 {
		s += fmt.Sprintf("  %s/s", Bytes(int64(rate)))
	}
	if left > 0 {
		s += "  " + About(left) + " left"
	}
	return s
}

// Count words a number of things, with the plural in s.
func Count(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// About rounds a time as people say it.
func About(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return "a few seconds"
	case d < time.Minute:
		return fmt.Sprintf("about %d seconds", int(d.Seconds()+5)/10*10)
	case d < 90*time.Minute:
		return fmt.Sprintf("about %d min", int(d.Minutes()+0.5))
	}
	return fmt.Sprintf("about %.1f hours", d.Hours())
}

// Bytes words a size with a binary unit.
func Bytes(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v, i := float64(n), -1
	for v >= 1023.95 && i < 4 { // what would be shown as 1024.0
		v /= 1024
		i++
	}
	return fmt.Sprintf("%.1f %s", v, []string{"KiB", "MiB", "GiB", "TiB", "PiB"}[i])
}
