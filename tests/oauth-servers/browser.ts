/**
 * A user with a browser: follows redirects, keeps cookies, and fills in a form where there is one.
 */

/** Fields that the user enters into a form, by name. */
export type UserFields = Readonly<Record<string, string>>;

/** Most pages on the way to the redirect address. */
const MAX_PAGES = 20;

/** Walks from the provider's consent page to the redirect address, and opens that too. */
export async function browse(address: string, user: UserFields = {}): Promise<void> {
  const cookies = new Map<string, string>();
  let url = address;
  let form: URLSearchParams | undefined;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const response = await fetch(url, {
      redirect: 'manual',
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
      ...(form === undefined ? {} : { method: 'POST', body: form }),
    });
    form = undefined;
    for (const line of response.headers.getSetCookie()) {
      const [pair = ''] = line.split(';');
      const cut = pair.indexOf('=');
      cookies.set(pair.slice(0, cut), pair.slice(cut + 1));
    }
    const location = response.headers.get('location');
    if (location !== null) {
      url = new URL(location, url).href;
      continue;
    }
    const text = await response.text();
    const action = /<form[^>]*action="([^"]+)"/.exec(text)?.[1]?.replaceAll('&amp;', '&');
    if (action === undefined) return;
    form = new URLSearchParams(user);
    for (const [field] of text.matchAll(/<input[^>]*type="hidden"[^>]*>/g)) {
      const name = /name="([^"]*)"/.exec(field)?.[1];
      if (name !== undefined) form.set(name, /value="([^"]*)"/.exec(field)?.[1] ?? '');
    }
    url = new URL(action, url).href;
  }
}
