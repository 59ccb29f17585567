"""Names of the system calls that audit rules watch: auditd writes numbers unless it is told to enrich its log.

From the kernel's tables for x86-64 (arch/x86/entry/syscalls/syscall_64.tbl) and for the generic ABI
(include/uapi/asm-generic/unistd.h), which arm64 and LoongArch use.
"""

from __future__ import annotations

from typing import Final

_X86_64 = """
2:open 9:mmap 21:access 41:socket 42:connect 43:accept 49:bind 50:listen 56:clone 57:fork 58:vfork 59:execve 62:kill
76:truncate 77:ftruncate 82:rename 83:mkdir 84:rmdir 85:creat 86:link 87:unlink 88:symlink 90:chmod 91:fchmod 92:chown
93:fchown 94:lchown 99:sysinfo 101:ptrace 103:syslog 105:setuid 106:setgid 113:setreuid 114:setregid 117:setresuid
119:setresgid 122:setfsuid 123:setfsgid 133:mknod 135:personality 155:pivot_root 157:prctl 159:adjtimex 161:chroot
164:settimeofday 165:mount 166:umount2 167:swapon 169:reboot 170:sethostname 171:setdomainname 175:init_module
176:delete_module 188:setxattr 189:lsetxattr 190:fsetxattr 197:removexattr 227:clock_settime 246:kexec_load 257:openat
259:mknodat 260:fchownat 263:unlinkat 264:renameat 265:linkat 266:symlinkat 268:fchmodat 272:unshare 304:open_by_handle_at
305:clock_adjtime 308:setns 310:process_vm_readv 311:process_vm_writev 313:finit_module 316:renameat2 319:memfd_create
320:kexec_file_load 321:bpf 322:execveat
"""
_GENERIC = """
5:setxattr 6:lsetxattr 7:fsetxattr 14:removexattr 33:mknodat 35:unlinkat 36:symlinkat 37:linkat 38:renameat 39:umount2
40:mount 41:pivot_root 45:truncate 46:ftruncate 48:faccessat 51:chroot 52:fchmod 53:fchmodat 54:fchownat 55:fchown
56:openat 92:personality 97:unshare 104:kexec_load 105:init_module 106:delete_module 112:clock_settime 116:syslog 117:ptrace
129:kill 142:reboot 143:setregid 144:setgid 145:setreuid 146:setuid 147:setresuid 149:setresgid 151:setfsuid 152:setfsgid
161:sethostname 162:setdomainname 167:prctl 170:settimeofday 171:adjtimex 179:sysinfo 198:socket 200:bind 201:listen
202:accept 203:connect 220:clone 221:execve 265:open_by_handle_at 266:clock_adjtime 268:setns 270:process_vm_readv
271:process_vm_writev 273:finit_module 276:renameat2 279:memfd_create 280:bpf 281:execveat 294:kexec_file_load
"""


def _table(text: str) -> dict[str, str]:
    return dict(entry.split(":") for entry in text.split())


_BY_ARCH: Final = {
    "c000003e": _table(_X86_64),
    "c00000b7": _table(_GENERIC),  # aarch64: Kunpeng, Phytium
    "c0000102": _table(_GENERIC),  # LoongArch
}


def syscall_name(arch: str, number: str) -> str:
    """Give the name of a watched system call, else ""; ``arch`` is the AUDIT_ARCH value in hexadecimal."""
    return _BY_ARCH.get(arch, {}).get(number, "")
