// Links of the book to files of the repository that are no pages of it, such as ../SECURITY.md, to which mdBook gives the ending
// .html. They lead into the clone in which the book was built (target/book), or to `git-repository-url` of book.toml if it is set.
(() => {
  const toBook = typeof path_to_root === "string" ? path_to_root : "";
  const book = new URL(toBook || "./", location.href);
  const beside = new URL("../", book).href;
  const repository = document.querySelector('a[title="Git repository"]')?.href;
  const root = repository ? `${repository.replace(/\/$/, "")}/blob/HEAD/` : new URL("../../", book).href;
  for (const link of document.querySelectorAll("main a[href]")) {
    const { href } = link;
    if (href.startsWith(book.href) || !href.startsWith(beside)) continue;
    link.href = root + href.slice(beside.length).replace(/\.html(?=#|$)/, ".md");
  }
})();
