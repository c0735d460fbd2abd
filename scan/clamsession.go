package scan

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// session is one connection to a clamd in its session mode: one command at a
// time, answered in order. After any error it is of no use any more.
type session struct {
	conn *net.UnixConn
	in   *bufio.Reader
	sent int       // commands so far; clamd numbers its replies the same way
	used time.Time // last reply
}

// idleLimit is how long a session is used again, well below clamd's own
// patience of 30 seconds.
const idleLimit = 10 * time.Second

// dial opens a session on the unix socket.
func dial(ctx context.Context, socket string) (*session, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("reaching clamd: %w", err)
	}
	s := &session{conn: c.(*net.UnixConn), in: bufio.NewReaderSize(c, maxReply+1), used: time.Now()}
	if err := s.command("zIDSESSION\x00", nil); err != nil {
		c.Close()
		return nil, err
	}
	return s, nil
}

// bound makes everything on s fail after limit, or when ctx ends. The caller
// calls the function it returns when done.
func (s *session) bound(ctx context.Context, limit time.Duration) (stop func() bool, err error) {
	if err := s.conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return nil, fmt.Errorf("asking clamd: %w", err)
	}
	return context.AfterFunc(ctx, func() { s.conn.SetDeadline(time.Unix(1, 0)) }), nil
}

// descriptor has clamd scan f. Command, the byte that carries the descriptor
// and the descriptor go in one message, as clamd reads them.
func (s *session) descriptor(f *os.File) (reply, error) {
	if err := s.command("zFILDES\x00\x00", unix.UnixRights(int(f.Fd()))); err != nil {
		return reply{}, err
	}
	return s.reply()
}

// stream has clamd scan exactly size bytes from r. When r fails or ends early
// the stream is left unterminated, so that clamd cannot take a part for the whole.
func (s *session) stream(r io.Reader, size int64) (reply, error) {
	if err := s.command("zINSTREAM\x00", nil); err != nil {
		return reply{}, err
	}
	buf := make([]byte, 4+chunkSize)
	for size > 0 {
		n := min(size, chunkSize)
		if _, err := io.ReadFull(r, buf[4:4+n]); err != nil {
			return reply{}, fmt.Errorf("streaming to clamd: %w", err)
		}
		binary.BigEndian.PutUint32(buf, uint32(n))
		if _, err := s.conn.Write(buf[:4+n]); err != nil {
			return reply{}, fmt.Errorf("streaming to clamd: %w", err)
		}
		size -= n
	}
	if _, err := s.conn.Write(make([]byte, 4)); err != nil {
		return reply{}, fmt.Errorf("streaming to clamd: %w", err)
	}
	return s.reply()
}

func (s *session) command(text string, rights []byte) error {
	n, _, err := s.conn.WriteMsgUnix([]byte(text), rights, nil)
	if err == nil && n != len(text) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("asking clamd: %w", err)
	}
	return nil
}

// reply reads the answer to the last command.
func (s *session) reply() (reply, error) {
	s.sent++
	line, err := s.in.ReadSlice(0)
	if err != nil {
		return reply{}, fmt.Errorf("waiting for clamd: %w", err)
	}
	r, err := parseReply(string(line[:len(line)-1]))
	if err != nil {
		return reply{}, err
	}
	if r.id != s.sent || s.in.Buffered() != 0 {
		return reply{}, fmt.Errorf("clamd answered out of turn: %w", errReply)
	}
	s.used = time.Now()
	return r, nil
}

func (s *session) stale() bool { return time.Since(s.used) > idleLimit }

// close may be called on nil.
func (s *session) close() {
	if s != nil {
		s.conn.Close()
	}
}
