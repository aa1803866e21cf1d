"""Reads an EFI_LOAD_OPTION (UEFI 2.10, 3.1.3) with a hard drive and a file path node from standard input; prints its fields as JSON."""
import json
import struct
import sys
import uuid

option = sys.stdin.buffer.read()
attributes, length = struct.unpack_from('<IH', option)
at = 6
while option[at:at + 2] != b'\0\0':
    at += 2
fields = {'attributes': attributes, 'description': option[6:at].decode('utf-16-le')}
path = option[at + 2:at + 2 + length]
fields['optionalData'] = option[at + 2 + length:].hex()

nodes = []
while path:
    kind, subtype, size = struct.unpack_from('<BBH', path)
    nodes.append((kind, subtype, path[4:size]))
    path = path[size:]
(drive, file, end) = nodes
assert drive[:2] == (4, 1) and len(drive[2]) == 38, drive
assert file[:2] == (4, 4), file
assert end == (0x7F, 0xFF, b''), end

number, start, sectors, signature, form, kind = struct.unpack('<IQQ16sBB', drive[2])
fields.update(partition=number, start=start, size=sectors, format=form, signatureType=kind)
if kind == 2:
    fields['signature'] = str(uuid.UUID(bytes_le=signature))
else:
    assert signature[4:] == bytes(12), signature
    fields['signature'] = '%08x' % struct.unpack_from('<I', signature)
assert file[2].endswith(b'\0\0')
fields['file'] = file[2][:-2].decode('utf-16-le')
print(json.dumps(fields))
