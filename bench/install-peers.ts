/** `npm run bench:peers`. */

import { installPeers } from './peers.ts';

installPeers();
