package scan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// clamdWindow and clamdOverlap cut content that is over clamd's hard limit, in
// bytes; clamdWindows of them are looked at at a time.
const (
	clamdWindow  = 32 << 20
	clamdOverlap = 1 << 20
	clamdWindows = 2
)

// clamdAttempts is how often one content is tried before the engine counts as gone.
const clamdAttempts = 3

// clamav asks clamd daemons: our own, or running ones over their sockets.
type clamav struct {
	limit   time.Duration
	largest int64        // bytes; above: windows
	window  int64        // bytes
	servers chan *server // free ones; each is asked one thing at a time
	stream  chan struct{}
	dir     *privateDir // nil: not our daemons
	tmp     *privateDir
	need    int64 // bytes of room in tmp before a daemon is asked
	margin  int64 // bytes that must be left after it said OK
	defs    Definitions
	log     *slog.Logger
}

// newClamAV starts or reaches the daemons and proves each before it returns.
func newClamAV(ctx context.Context, cfg ClamdConfig, builtin fs.FS, workers int, log *slog.Logger) (*clamav, error) {
	if cfg.Private == (len(cfg.Sockets) > 0) {
		return nil, errors.New("clamd: want either private daemons or the sockets of running ones")
	}
	if !cfg.Private && len(cfg.Definitions) > 0 {
		return nil, errors.New("clamd: definitions can be given to private daemons only")
	}
	c := &clamav{limit: cfg.ScanTimeout, largest: clamdLargest, window: clamdWindow, stream: make(chan struct{}, 1), log: log}
	if c.limit == 0 {
		c.limit = 5 * time.Minute
	}
	var servers []*server
	var err error
	if cfg.Private {
		servers, err = c.prepare(cfg, builtin)
	} else {
		for _, socket := range cfg.Sockets {
			for range max(1, workers/len(cfg.Sockets)) {
				servers = append(servers, &server{socket: socket})
			}
		}
	}
	c.servers = make(chan *server, len(servers))
	for _, s := range servers {
		c.servers <- s
	}
	if err == nil {
		var g errgroup.Group
		for _, s := range servers {
			g.Go(func() error { return s.ready(ctx) })
		}
		err = g.Wait()
	}
	if err == nil {
		err = c.identify(servers)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *clamav) Name() string             { return clamdName }
func (c *clamav) Definitions() Definitions { return c.defs }

// Close ends our daemons and removes their folders, after the scans under way.
func (c *clamav) Close() error {
	for range cap(c.servers) {
		(<-c.servers).drop()
	}
	return errors.Join(c.dir.remove(), c.tmp.remove())
}

// Scan asks clamd for its verdict on b. What lies in memory is handed over as
// a descriptor, what lies on disk is streamed, one at a time because the
// stream fills the temporary folder; what clamd cannot take as a whole is
// shown in windows, which finds plain patterns only: without a detection that
// is unscannable.
func (c *clamav) Scan(ctx context.Context, b *Blob) ([]Finding, error) {
	if b.Size() > c.largest {
		return c.scanWindows(ctx, b)
	}
	ask := func(s *session) (reply, error) { return s.stream(b.NewReader(), b.Size()) }
	if f, ok := b.Memory(); ok {
		ask = func(s *session) (reply, error) { return s.descriptor(f) }
	} else {
		select {
		case c.stream <- struct{}{}:
			defer func() { <-c.stream }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	r, err := c.ask(ctx, ask)
	switch {
	case err != nil:
		return nil, err
	case r.status == "OK":
		return nil, nil
	case r.status == "FOUND":
		return []Finding{r.finding()}, nil
	default:
		return []Finding{{Engine: clamdName, Name: "ScanError", Where: r.text, Verdict: Unscannable}}, nil
	}
}

func (c *clamav) scanWindows(ctx context.Context, b *Blob) ([]Finding, error) {
	g, windows := errgroup.WithContext(ctx)
	g.SetLimit(clamdWindows)
	var failed atomic.Bool
	detected := make(chan Finding, 1) // the first is enough
	for _, part := range spans(b.Size(), c.window, min(clamdOverlap, c.window/2)) {
		if windows.Err() != nil || len(detected) > 0 {
			break
		}
		g.Go(func() error {
			f, err := b.window(part.off, part.length)
			if err != nil {
				return err
			}
			defer f.Close()
			r, err := c.ask(windows, func(s *session) (reply, error) { return s.descriptor(f) })
			// A part of an archive is always broken somehow; only detections count.
			if err == nil && r.status == "ERROR" {
				failed.Store(true)
			}
			if err == nil && r.status == "FOUND" && r.finding().Verdict == Detected {
				found := r.finding()
				found.Where = fmt.Sprintf("bytes %d to %d", part.off, part.off+part.length)
				select {
				case detected <- found:
				default:
				}
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil { // not every window was looked at
		return nil, err
	}
	select {
	case found := <-detected:
		return []Finding{found}, nil
	default:
	}
	name := "SearchedInWindows"
	if failed.Load() {
		name = "ScanError"
	}
	return []Finding{{Engine: clamdName, Name: name, Verdict: Unscannable}}, nil
}

// ask puts one question, to another daemon if one fails. It returns clamd's
// reply, an ERROR only when that was the answer to the last attempt, or
// ErrEngine: never an OK that was not said.
func (c *clamav) ask(ctx context.Context, question func(*session) (reply, error)) (reply, error) {
	var r reply
	var err error
	for range clamdAttempts {
		var s *server
		select {
		case s = <-c.servers:
		case <-ctx.Done():
			return reply{}, ctx.Err()
		}
		if r, err = c.once(ctx, s, question); err == nil {
			c.servers <- s
			if r.status != "ERROR" {
				return r, nil
			}
			continue
		}
		said := ""
		if s.daemon != nil && s.daemon.said != nil {
			said = s.daemon.said.String()
		}
		s.drop()
		c.giveBack(s)
		if ctx.Err() != nil {
			return reply{}, ctx.Err()
		}
		c.log.Warn("clamd lost", "err", err, "said", said)
	}
	if err != nil {
		return reply{}, fmt.Errorf("%w: %w", ErrEngine, err)
	}
	return r, nil
}

// giveBack returns a server that failed. One that is not ours rests a moment:
// it fails faster than the others scan, and would draw every attempt to itself.
func (c *clamav) giveBack(s *server) {
	if s.daemon != nil {
		c.servers <- s
		return
	}
	time.AfterFunc(time.Second, func() { c.servers <- s })
}

func (c *clamav) once(ctx context.Context, s *server, question func(*session) (reply, error)) (reply, error) {
	if err := s.ready(ctx); err != nil {
		return reply{}, err
	}
	if c.tmp != nil {
		if err := waitRoom(ctx, c.tmp.path, c.need, c.limit); err != nil {
			return reply{}, err
		}
	}
	stop, err := s.session.bound(ctx, c.limit)
	if err != nil {
		return reply{}, err
	}
	defer stop()
	r, err := question(s.session)
	if err == nil && r.status == "OK" && c.tmp != nil {
		// Less is left than our daemons alone can have taken: clamd may have
		// run out of room without a word.
		err = waitRoom(ctx, c.tmp.path, c.margin, 0)
	}
	if err != nil {
		return reply{}, err
	}
	return r, nil
}
