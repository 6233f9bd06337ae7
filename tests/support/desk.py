"""A person at the playground's page: everything through what a person sees and can press."""

import json

from tests.support.browser import Page


class Desk:
    """The page in one tab. The person switcher says who sits at it."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def ready(self) -> None:
        """Wait until the page has drawn its first state."""
        await self.page.wait_for("document.documentElement.dataset.ready === 'true'")

    async def become(self, user: str) -> None:
        """Switch to somebody and wait until their view is drawn."""
        await self.page.choose("person", user)
        # The address says whose view is drawn: the switcher changes at once, the view later.
        await self.page.wait_for(
            f"new URLSearchParams(location.search).get('user') === {json.dumps(user)}"
        )

    async def enter(self, channel: str) -> None:
        """Open a channel by its id."""
        await self.page.click(f'[data-testid="channel-list"] [data-channel="{channel}"]')

    async def run(self, text: str) -> None:
        """Type `/registry TEXT` and press Enter."""
        await self.page.type("composer", f"/registry {text}")
        await self.page.press("Enter")
        await self.page.wait_for("document.querySelector('[data-testid=composer]').value === ''")

    async def message(self, *words: str, ephemeral: bool = False, timeout: float = 20.0) -> "Shown":
        """Wait until a message of the channel shows all these words; the newest of them."""
        kind = json.dumps("true" if ephemeral else "false")
        found = await self.page.wait_for(
            f"""[...document.querySelectorAll(
              '[data-testid="messages"] [data-testid="message"]')].filter(
              m => m.dataset.ephemeral === {kind} && {json.dumps(words)}.every(
              word => m.innerText.includes(word))).at(-1)?.dataset.ts""",
            timeout,
        )
        return Shown(self, str(found))

    async def answer(self, *words: str) -> "Shown":
        """Wait until a message that only this person sees shows all these words."""
        return await self.message(*words, ephemeral=True)


class Shown:
    """One message, as the page shows it by now."""

    def __init__(self, desk: Desk, ts: str) -> None:
        self.desk, self.ts = desk, ts
        self.where = f'[data-testid="messages"] [data-testid="message"][data-ts="{ts}"]'

    async def text(self) -> str:
        """What stands in it."""
        return await self.desk.page.text(self.where)

    async def buttons(self) -> list[str]:
        """The labels of the buttons that the app put into it."""
        found = f"[...document.querySelectorAll({json.dumps(self.where)} + ' button')]"
        labels = await self.desk.page.evaluate(f"{found}.map(b => b.textContent.trim())")
        return [str(label) for label in labels]

    async def press(self, label: str, *, confirmed: bool = False) -> None:
        """Press a button; `confirmed` where the page asks once more."""
        await self.desk.page.click(f"{self.where} button", label)
        if confirmed:
            await self.desk.page.click("confirm-ok")
            await self.desk.page.wait_for(
                "![...document.querySelectorAll('[data-testid=confirm-ok]')]"
                ".some(e => e.getClientRects().length)"
            )

    async def shows(self, *words: str, timeout: float = 30.0) -> "Shown":
        """Wait until it shows all these words."""
        for word in words:
            await self.desk.page.wait_for_text(word, self.where, timeout)
        return self
