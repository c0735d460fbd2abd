package source

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// visitor is one pass over the tree.
type visitor struct {
	ctx  context.Context
	opt  Options
	open bool
	emit func(Entry) error
	buf  []byte // for listings
}

func (t *folder) each(ctx context.Context, open bool, emit func(Entry) error) error {
	fd, err := openDir(t.root, ".") // its own position, for concurrent walks
	if err != nil {
		return fmt.Errorf("the source's own folder: %w", err)
	}
	defer unix.Close(fd)
	v := &visitor{ctx: ctx, opt: t.opt, open: open, emit: emit, buf: make([]byte, 1<<18)}
	l, err := list(ctx, fd, v.opt.MaxNames, v.buf)
	if err != nil {
		return fmt.Errorf("the source's own folder: %w", err)
	}
	return v.inside(fd, "", l)
}

// inside visits what the listed folder dir holds; prefix is "" or ends in "/".
func (v *visitor) inside(dir int, prefix string, l *names) error {
	for _, ref := range l.order {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		b, typ := l.at(ref)
		path := prefix + string(b)
		name := path[len(prefix):]
		kind, known := kindOfType(typ)
		if !known {
			s, err := statAt(dir, name)
			if ours(err) {
				return fmt.Errorf("%q: %w", path, err)
			}
			if err != nil {
				if err := v.emit(Entry{Path: path, Err: err}); err != nil {
					return err
				}
				continue
			}
			kind = s.kind
		}
		if err := v.visit(dir, name, Entry{Path: path, Kind: kind}); err != nil {
			return err
		}
	}
	return nil
}

// visit reports one name and, for a folder, all below it. e.Kind is what the
// listing said; what is found on opening has the last word.
func (v *visitor) visit(dir int, name string, e Entry) (err error) {
	var s status
	switch {
	case e.Kind == Dir:
		return v.visitDir(dir, name, e)
	case e.Kind == File && v.open:
		e.File, s, err = openFile(dir, name)
	default:
		s, err = statAt(dir, name)
		if err == nil && s.kind != e.Kind && s.kind != Mount {
			err = ErrSwapped
		}
	}
	if ours(err) {
		return fmt.Errorf("%q: %w", e.Path, err)
	}
	return v.emit(e.describe(dir, name, s, err))
}

func (v *visitor) visitDir(dir int, name string, e Entry) error {
	if strings.Count(e.Path, "/") >= v.opt.MaxDepth {
		return v.emit(e.describe(dir, name, status{}, ErrTooDeep))
	}
	var s status
	var l *names
	fd, err := openDir(dir, name)
	if err == nil {
		defer unix.Close(fd)
		if s, err = statFd(fd); err == nil {
			l, err = list(v.ctx, fd, v.opt.MaxNames, v.buf)
		}
	}
	switch {
	case v.ctx.Err() != nil:
		return v.ctx.Err()
	case ours(err) || errors.Is(err, ErrTooMany):
		return fmt.Errorf("%q: %w", e.Path, err)
	}
	if err := v.emit(e.describe(dir, name, s, err)); err != nil || l == nil {
		return err
	}
	return v.inside(fd, e.Path+"/", l)
}

// describe completes an entry with what was found (s), or why not (err). After
// a failure the name is looked at once more, to say as much as can be known.
func (e Entry) describe(dir int, name string, s status, err error) Entry {
	if err != nil {
		again, serr := statAt(dir, name)
		switch {
		case serr != nil && s == (status{}):
			e.Err = err
			return e
		case serr == nil:
			s = again
		}
		if errors.Is(err, unix.EXDEV) {
			s.kind = Mount
		}
		switch {
		case s.kind == Mount: // the kind says why it was not entered
		case s.kind != e.Kind:
			e.Err = ErrSwapped
		default:
			e.Err = err
		}
	}
	e.Kind, e.ID, e.ModTime = s.kind, s.id, s.time
	if e.Kind == File {
		e.Size = s.id.Size
	}
	return e
}
