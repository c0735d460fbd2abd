// Gate is the program on the isolated backup server: it takes drives in, keeps
// what is complete, clean and sealed by an enrolled kiosk, and gives it back.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"sekisho/app/console"
	"sekisho/scan"
)

// Version is set by the build.
var version = "devel"

func main() {
	if len(os.Args) > 1 && os.Args[1] == "scan-worker" {
		os.Exit(scan.WorkerMain())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

var commands = []console.Command{
	{Name: "import", Short: "take the transfers on a drive into the vault", Run: runImport},
	{Name: "verify", Short: "check the transfers on a drive, keeping nothing", Run: runVerify},
	{Name: "list", Short: "list the generations in the vault", Run: runList},
	{Name: "restore", Short: "give the files of a generation back", Run: runRestore},
	{Name: "keys create", Short: "make the gate's keys and the recovery key", Run: runKeysCreate},
	{Name: "keys show", Short: "show the digest of the key set, and each key", Run: runKeysShow},
	{Name: "keys rotate", Short: "make new keys for some purposes", Run: runKeysRotate},
	{Name: "keys retire", Short: "refuse what is made for an earlier key set", Run: runKeysRetire},
	{Name: "recovery-check", Short: "say when the recovery key was tried last", Run: runRecoveryCheck},
	{Name: "recovery-check status", Short: "the same", Run: runRecoveryStatus},
	{Name: "recovery-check export", Short: "write what the recovery key is to be tried on", Run: runRecoveryExport},
	{Name: "recovery-check try", Short: "try the recovery key, on an offline machine", Run: runRecoveryTry},
	{Name: "recovery-check record", Short: "take in what trying it gave", Run: runRecoveryRecord},
	{Name: "enrol challenge", Short: "answer a kiosk's request with a challenge for its TPM", Run: runEnrolChallenge},
	{Name: "enrol finish", Short: "enrol the kiosk that answered its challenge", Run: runEnrolFinish},
	{Name: "enrol cancel", Short: "give a challenge up", Run: runEnrolCancel},
	{Name: "enrol retire", Short: "end the enrolment of a kiosk", Run: runEnrolRetire},
	{Name: "enrol list", Short: "list the enrolled kiosks", Run: runEnrolList},
	{Name: "approvals", Short: "list the states that wait for IT, and what is approved", Run: runApprovals},
	{Name: "approve", Short: "approve a state in which a kiosk may seal", Run: runApprove},
	{Name: "revoke", Short: "revoke an approval", Run: runRevoke},
	{Name: "log list", Short: "list the data transfer records", Run: runLogList},
	{Name: "log verify", Short: "check that no record was changed or removed", Run: runLogVerify},
	{Name: "version", Short: "say which version this is", Run: runVersion},
}

// run carries one command out and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c := console.New(stdout, stderr, console.Language())
	err := console.Run(ctx, c, "gate", commands, args)
	return console.Exit(c, "gate", err)
}

func runVersion(_ context.Context, c *console.Console, args []string) error {
	if len(args) > 0 {
		return console.Usagef("version takes no arguments: %q", args)
	}
	c.Say("sekisho gate %s", version)
	return nil
}
