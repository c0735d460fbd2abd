// A Windows shortcut whose target is a program that takes commands.
rule ShortcutWithCommand
{
    meta:
        description = "Windows shortcut that runs a command"
    strings:
        $cmd = "cmd.exe" nocase ascii wide
        $powershell = "powershell" nocase ascii wide
        $pwsh = "pwsh.exe" nocase ascii wide
        $mshta = "mshta" nocase ascii wide
        $wscript = "wscript" nocase ascii wide
        $cscript = "cscript" nocase ascii wide
        $rundll = "rundll32" nocase ascii wide
        $regsvr = "regsvr32" nocase ascii wide
        $comspec = "%comspec%" nocase ascii wide
        $certutil = "certutil" nocase ascii wide
        $msiexec = "msiexec" nocase ascii wide
    condition:
        uint32(0) == 0x0000004C and uint32(4) == 0x00021401 and
        uint32(8) == 0x00000000 and uint32(12) == 0x000000C0 and uint32(16) == 0x46000000 and
        any of them
}
