package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// manufacture makes a new software TPM with endorsement keys and certificates
// in dir, by swtpm's own tools and a certificate authority used this once. It
// is whole and on disk when it returns nil, and not there otherwise.
func manufacture(ctx context.Context, dir string) error {
	setup, err := exec.LookPath("swtpm_setup")
	if err != nil {
		return fmt.Errorf("swtpm_setup is not installed: %w", err)
	}
	authority, err := exec.LookPath("swtpm_localca")
	if err != nil {
		return fmt.Errorf("swtpm_localca is not installed: %w", err)
	}
	part := filepath.Join(dir, partName)
	if err := os.RemoveAll(part); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(part, "ca"), 0o700); err != nil {
		return err
	}
	if err := fill(ctx, part, setup, authority); err != nil {
		return errors.Join(err, os.RemoveAll(part))
	}
	if err := os.Rename(part, filepath.Join(dir, stateName)); err != nil {
		return errors.Join(err, os.RemoveAll(part))
	}
	return syncPath(dir)
}

// fill runs swtpm_setup in part. All paths are relative to it, so nothing is
// written outside and no character of its path can matter.
func fill(ctx context.Context, part, setup, authority string) error {
	config := map[string]string{
		"setup.conf": "create_certs_tool = " + authority + "\n" +
			"create_certs_tool_config = localca.conf\ncreate_certs_tool_options = localca.options\n",
		"localca.conf": "statedir = ca\nsigningkey = ca/signkey.pem\n" +
			"issuercert = ca/issuercert.pem\ncertserial = ca/certserial\n",
		"localca.options": "--platform-manufacturer Sekisho\n--platform-version 1\n--platform-model software\n",
	}
	for name, text := range config {
		if err := os.WriteFile(filepath.Join(part, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, setup, "--tpm2", "--config", "setup.conf", "--tpmstate", "dir://.",
		"--createek", "--create-ek-cert", "--create-platform-cert", "--pcr-banks", "sha256")
	cmd.Dir = part
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TMPDIR=."}
	// It has children of its own: give up the whole group.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	if said, err := cmd.CombinedOutput(); err != nil {
		lines := bytes.Split(bytes.TrimSpace(said), []byte("\n"))
		return errors.Join(ctx.Err(), fmt.Errorf("swtpm_setup: %w: %q", err, lines[len(lines)-1]))
	}
	return syncTree(part)
}

// syncTree flushes every file and folder below root, and root.
func syncTree(root string) error {
	return filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return syncPath(path)
	})
}
