package scan

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"time"
)

const yaraName = "yara"

// yaraEngine searches in worker processes, one per slot, one blob at a time each.
type yaraEngine struct {
	command []string
	rules   *os.File // sealed memory file: JSON []rule
	limit   time.Duration
	grace   time.Duration // beyond limit, before a worker is taken for hung
	slots   chan *worker  // an entry may be dead; it is replaced when its turn comes
	defs    Definitions
	log     *slog.Logger
}

// newYARA loads the rules and starts every worker, so that a rule that does
// not compile, or a sandbox that does not hold, shows now.
func newYARA(ctx context.Context, cfg YaraConfig, builtin fs.FS, workers int, command []string, log *slog.Logger) (*yaraEngine, error) {
	rules, defs, err := loadRules(builtin, cfg.Rules)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(rules)
	if err != nil {
		return nil, fmt.Errorf("yara: %w", err)
	}
	e := &yaraEngine{command: command, limit: cfg.Timeout, grace: 10 * time.Second, slots: make(chan *worker, workers), defs: defs, log: log}
	if e.limit == 0 {
		e.limit = 2 * time.Minute
	}
	if e.limit < time.Second {
		return nil, fmt.Errorf("yara: timeout %s is below one second", e.limit)
	}
	if e.rules, err = memfdOf("rules", data); err != nil {
		return nil, err
	}
	for range workers {
		w, err := e.start(ctx)
		e.slots <- w
		if err != nil {
			for range workers - len(e.slots) {
				e.slots <- nil
			}
			return nil, errors.Join(err, e.Close())
		}
		e.defs.Version = w.version
	}
	return e, nil
}

func (e *yaraEngine) Name() string             { return yaraName }
func (e *yaraEngine) Definitions() Definitions { return e.defs }

// Close ends the workers, after the scans under way.
func (e *yaraEngine) Close() error {
	for range cap(e.slots) {
		(<-e.slots).kill()
	}
	return e.rules.Close()
}

// Scan searches b. A worker that dies or hangs is replaced and b searched once
// more; content that does it twice is unscannable.
func (e *yaraEngine) Scan(ctx context.Context, b *Blob) ([]Finding, error) {
	var w *worker
	select {
	case w = <-e.slots:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { e.slots <- w }()
	for range 2 {
		if w == nil || w.dead {
			fresh, err := e.start(ctx)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrEngine, err)
			}
			w = fresh
		}
		findings, err := e.ask(ctx, w, b)
		if err == nil {
			return findings, nil
		}
		w.kill()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if errors.Is(err, errContent) {
			return nil, err
		}
		e.log.Warn("yara worker lost", "err", err, "said", w.said.String(), "size", b.Size())
	}
	return []Finding{{Engine: yaraName, Name: "WorkerDied", Verdict: Unscannable}}, nil
}

// ask has w search b, serving windows of it on demand.
func (e *yaraEngine) ask(ctx context.Context, w *worker, b *Blob) ([]Finding, error) {
	// Large content takes its time: at least 4 MiB a second are expected.
	limit := e.limit + time.Duration(b.Size()/(4<<20))*time.Second
	if err := w.conn.SetDeadline(time.Now().Add(limit + e.grace)); err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { w.conn.SetDeadline(time.Unix(1, 0)) })()
	memory, _ := b.Memory()
	req := request{Op: opScan, Size: b.Size(), Executable: executable(b.Head()), Seconds: int64(limit / time.Second)}
	if err := sendRequest(w.conn, req, memory); err != nil {
		return nil, err
	}
	for {
		a, err := receiveAnswer(w.conn)
		if err != nil {
			return nil, err
		}
		switch {
		case a.Kind == kindMatches:
			var findings []Finding
			for _, name := range a.Names {
				findings = append(findings, Finding{Engine: yaraName, Name: name, Verdict: Detected})
			}
			return findings, nil
		case a.Kind == kindFailed && a.Text == errScanTimeout.Error():
			return []Finding{{Engine: yaraName, Name: "ScanTimeout", Verdict: Unscannable}}, nil
		case a.Kind == kindFailed:
			return []Finding{{Engine: yaraName, Name: "ScanError", Where: a.Text, Verdict: Unscannable}}, nil
		case a.Kind == kindWindow && memory == nil && a.Length <= yaraWindow && a.Offset <= b.Size()-a.Length:
			if err := serveWindow(w.conn, b, a.Offset, a.Length); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("worker answered %q out of turn", a.Kind)
		}
	}
}

func serveWindow(conn *net.UnixConn, b *Blob, off, length int64) error {
	f, err := b.window(off, length)
	if err != nil {
		return err
	}
	return errors.Join(sendRequest(conn, request{Op: opWindow}, f), f.Close())
}

// executable reports whether head starts a program: for DOS and Windows, ELF,
// Mach-O (either byte order, also fat, which shares its magic with Java) or Dalvik.
func executable(head []byte) bool {
	for _, magic := range []string{
		"MZ", "\x7fELF", "dex\n", "\xca\xfe\xba\xbe", "\xbe\xba\xfe\xca", "\xca\xfe\xba\xbf",
		"\xfe\xed\xfa\xce", "\xfe\xed\xfa\xcf", "\xce\xfa\xed\xfe", "\xcf\xfa\xed\xfe",
	} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return true
		}
	}
	return false
}
