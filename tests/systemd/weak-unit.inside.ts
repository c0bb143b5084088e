/**
 * Runs inside a systemd whose kernel refuses user namespaces: installs aipassd as a user does, and
 * for the machine.
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { CLI, NODE, addUser, aipassd, must, run, show, tell } from './inside.ts';

const KEY = 'sk-or-v1-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef';
const UNIT = 'aipassd.service';
const alice = addUser('alice');
const secrets = `${alice.home}/.secrets/aipass`;
mkdirSync(secrets, { recursive: true });
writeFileSync(`${secrets}/.env`, `OPENROUTER_API_KEY=${KEY}\n`);
must('chown', '-R', 'alice:alice', alice.home);
must('chmod', '-R', 'go=', `${alice.home}/.secrets`);

const uninstalled = aipassd(alice, {}, 'uninstall');
tell('uninstall of nothing', { code: uninstalled.code, stdout: uninstalled.stdout, stderr: uninstalled.stderr });

const begun = performance.now();
const printed = aipassd(alice, {}, 'install', '--print');
tell('print', { code: printed.code, ms: performance.now() - begun });
const installed = aipassd(alice, {}, 'install');
tell('install', { code: installed.code, stdout: installed.stdout, stderr: installed.stderr });
tell('active', show(UNIT, alice));
tell('unit', readFileSync(`${alice.home}/.config/systemd/user/${UNIT}`, 'utf8'));
tell('key', aipassd(alice, {}, 'get-key', 'openrouter', '--reveal').stdout.trim() === KEY);
tell('install again', aipassd(alice, {}, 'install').stdout);
tell('doctor', aipassd(alice, {}, 'doctor', '--offline', '--json').stdout);
tell('uninstall', aipassd(alice, {}, 'uninstall').code);

// The manager of the machine needs no user namespace: there the unit is whole.
tell('system', run(NODE, CLI, 'install', '--system').code);
tell('system unit', readFileSync(`/etc/systemd/system/${UNIT}`, 'utf8').includes('left out'));
