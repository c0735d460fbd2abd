package scan

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// When clamd's temporary folder is full, clamd 1.4 says so for archives, but
// calls a PDF or a mail clean whose contents it could not unpack. So a daemon
// of ours is asked only while the folder has room for the worst that all of
// them together can unpack, and an OK counts only if the room was there still
// after it.

// memoryFolder is the usual tmpfs: unpacking there is faster than on a disk and
// leaves nothing behind on one.
const memoryFolder = "/dev/shm"

// chooseTemporary returns the first folder with room for need bytes.
func chooseTemporary(configured string, need int64) (string, error) {
	folders := []string{configured}
	if configured == "" {
		folders = []string{memoryFolder, os.TempDir()}
	}
	for _, dir := range folders {
		if free, err := freeBytes(dir); err == nil && free >= need {
			return dir, nil
		}
	}
	return "", fmt.Errorf("clamd: no room to unpack: want %d MiB free in one of %q, or fewer daemons", need>>20, folders)
}

func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("looking for room in %q: %w", dir, err)
	}
	if st.Files > 0 && st.Ffree < 100_000 { // a full table of files is a full disk
		return 0, nil
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// waitRoom returns when dir has need bytes free; other daemons may be
// unpacking into it.
func waitRoom(ctx context.Context, dir string, need int64, limit time.Duration) error {
	for end := time.Now().Add(limit); ; {
		free, err := freeBytes(dir)
		if err != nil || free >= need {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("clamd's temporary folder %q has %d MiB free, want %d", dir, free>>20, need>>20)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
