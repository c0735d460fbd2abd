package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sekisho/transfer"
)

func TestAbout(t *testing.T) {
	for _, c := range []struct {
		d    time.Duration
		want string
	}{
		{0, "a few seconds"}, {9900 * time.Millisecond, "a few seconds"},
		{10 * time.Second, "about 10 seconds"}, {14 * time.Second, "about 10 seconds"}, {15 * time.Second, "about 20 seconds"},
		{59 * time.Second, "about 60 seconds"}, {time.Minute, "about 1 min"}, {89 * time.Second, "about 1 min"}, {90 * time.Second, "about 2 min"},
		{5 * time.Minute, "about 5 min"}, {89 * time.Minute, "about 89 min"}, {90 * time.Minute, "about 1.5 hours"}, {26 * time.Hour, "about 26.0 hours"},
	} {
		if got := About(c.d); got != c.want {
			t.Errorf("About(%v) = %q, want %q", c.d, got, c.want)
		}
	}
}

func TestBytes(t *testing.T) {
	for _, c := range []struct {
		n    int64
		want string
	}{
		{0, "0 B"}, {1023, "1023 B"}, {1024, "1.0 KiB"}, {1536, "1.5 KiB"}, {1<<20 - 1, "1.0 MiB"}, {1023<<10 + 900, "1023.9 KiB"}, {1 << 20, "1.0 MiB"},
		{38 << 30, "38.0 GiB"}, {1 << 40, "1.0 TiB"}, {1 << 50, "1.0 PiB"}, {1<<63 - 1, "8192.0 PiB"},
	} {
		if got := Bytes(c.n); got != c.want {
			t.Errorf("Bytes(%d) = %q, want %q", c.n, got, c.want)
		}
	}
}

func TestEstimate(t *testing.T) {
	for _, c := range []struct {
		p     transfer.Progress
		since time.Duration
		rate  float64
		left  time.Duration
	}{
		{transfer.Progress{}, time.Second, 0, 0},
		{transfer.Progress{Bytes: 100}, 0, 0, 0}, // no time has passed
		{transfer.Progress{Bytes: 100}, 2 * time.Second, 50, 0},
		{transfer.Progress{Bytes: 100, TotalBytes: 400}, 10 * time.Second, 10, 30 * time.Second},
		{transfer.Progress{Bytes: 400, TotalBytes: 400}, 10 * time.Second, 40, 0},
		{transfer.Progress{Bytes: 500, TotalBytes: 400}, 10 * time.Second, 50, 0}, // the source grew
		// Half the bytes, none of the many small files: not half the time.
		{transfer.Progress{Bytes: 200, TotalBytes: 400, Files: 0, TotalFiles: 10}, 10 * time.Second, 20, 30 * time.Second},
	} {
		rate, left := estimate(c.p, c.since)
		if rate != c.rate || left != c.left {
			t.Errorf("%+v after %v: %v bytes/s, %v left", c.p, c.since, rate, left)
		}
	}
}

func TestLine(t *testing.T) {
	p := transfer.Progress{Phase: transfer.PhasePrepare, Files: 3, TotalFiles: 10, Bytes: 1 << 20, TotalBytes: 4 << 20}
	if got := Line(p, 1<<20, 3*time.Minute); got != "preparing  3 of 10 files  1.0 MiB of 4.0 MiB  1.0 MiB/s  about 3 min left" {
		t.Errorf("%q", got)
	}
	if got := Line(transfer.Progress{Phase: transfer.PhaseCount, Files: 3, Bytes: 5}, 0, 0); got != "counting  3 files  5 B" {
		t.Errorf("%q", got)
	}
	if got := Line(transfer.Progress{Phase: transfer.PhaseCount, Files: 1}, 0, 0); got != "counting  1 file" {
		t.Errorf("%q", got)
	}
	if got := Line(transfer.Progress{Phase: transfer.PhaseSeal}, 0, 0); got != "sealing" {
		t.Errorf("%q", got)
	}
}

// terminal opens a pseudo-terminal of that many columns. What is written to the
// one end is read from the other as a terminal would get it.
func terminal(t *testing.T, columns uint16) (tty, screen *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close() })
	fd := int(screen.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns})
	}
	if err == nil {
		tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return tty, screen
}

// seen returns what the screen got until the other end was closed.
func seen(screen *os.File) string {
	data, _ := io.ReadAll(screen) // a hung-up terminal is an error, EIO
	return string(data)
}

func TestProgressOnATerminalIsOneLine(t *testing.T) {
	tty, screen := terminal(t, 40)
	var out bytes.Buffer
	c := New(&out, tty, "en")
	p := transfer.Progress{Phase: transfer.PhasePrepare, TotalFiles: 1000, TotalBytes: 1 << 30}
	for i := range 2000 { // far more often than it is shown
		p.Files, p.Bytes = int64(i/2), int64(i)<<19
		c.Progress(p)
	}
	c.progress.shown = time.Time{}
	c.Progress(p)
	c.Note("a note")
	tty.Close()
	text := seen(screen)
	if n := strings.Count(text, "preparing"); n < 2 || n > 10 {
		t.Errorf("shown %d times:\n%q", n, text)
	}
	if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\ra note\r\n") {
		t.Errorf("more than one line:\n%q", text)
	}
	// Wider than the terminal it would wrap and could not be taken back.
	for _, piece := range regexp.MustCompile(`[\r\n]+`).Split(text, -1) {
		if len(piece) >= 40 {
			t.Errorf("%d columns: %q", len(piece), piece)
		}
	}
	if out.Len() != 0 {
		t.Errorf("standard output: %q", &out)
	}
}

func TestProgressWithoutATerminalIsFewLines(t *testing.T) {
	var out, errs bytes.Buffer
	c := New(&out, &errs, "en")
	p := transfer.Progress{Phase: transfer.PhaseWrite, TotalBytes: 100}
	for i := range 100 {
		p.Bytes = int64(i)
		c.Progress(p)
	}
	if errs.Len() != 0 {
		t.Errorf("a short phase is not worth a line: %q", &errs)
	}
	c.progress.shown = time.Now().Add(-onLines)
	c.Progress(p)
	c.Progress(p)
	if !regexp.MustCompile(`^writing  99 B of 100 B  .*\n$`).MatchString(errs.String()) || out.Len() != 0 {
		t.Errorf("%q %q", &errs, &out)
	}
}

func TestProgressAsJSON(t *testing.T) {
	var out, errs bytes.Buffer
	c := New(&out, &errs, "en")
	c.JSON = true
	for _, phase := range []transfer.Phase{transfer.PhaseCount, transfer.PhasePrepare} {
		for i := range 50 {
			c.Progress(transfer.Progress{Phase: phase, Transfer: "T1", Files: int64(i), Bytes: int64(i)})
		}
	}
	lines := strings.Split(strings.TrimSuffix(errs.String(), "\n"), "\n")
	if len(lines) != 2 || out.Len() != 0 {
		t.Fatalf("%q %q", &errs, &out)
	}
	for _, line := range lines {
		var got struct {
			Phase            string
			Transfer         string
			Files            *int64
			TotalFiles       *int64
			Bytes            *int64
			TotalBytes       *int64
			BytesPerSecond   *int64
			RemainingSeconds *int64
		}
		dec := json.NewDecoder(strings.NewReader(line))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&got); err != nil || got.Phase == "" || got.Transfer != "T1" || got.Files == nil || got.TotalFiles == nil ||
			got.Bytes == nil || got.TotalBytes == nil || got.BytesPerSecond == nil || got.RemainingSeconds == nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}
